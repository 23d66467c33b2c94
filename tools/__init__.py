"""Programs that make what the repository holds: `python -m tools.NAME`."""
