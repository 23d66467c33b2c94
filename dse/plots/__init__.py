"""Fronts, screenings and grids as pictures."""
