"""Channels that can go, and the weights that stay."""
