"""TFLite files: read, written and run."""
