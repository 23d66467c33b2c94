"""Files, text, numbers: nothing here knows of networks."""
