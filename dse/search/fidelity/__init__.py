"""Trainings in steps, and again by other seeds."""
