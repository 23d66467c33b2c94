"""Searches in which a table answers in place of trainings: seconds instead of days, and no TensorFlow."""
