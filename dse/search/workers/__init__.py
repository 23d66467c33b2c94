"""Who runs the trials: in this process, or on Ray."""
