"""Boards, and whether a network fits one: budget, latency, energy."""
