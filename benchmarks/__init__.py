"""Speed and figures that are measured here, never in a test: `python -m benchmarks.NAME`."""
