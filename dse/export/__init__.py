"""A trained trial as a bundle that can be flashed."""
