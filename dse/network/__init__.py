"""What a network is, and the candidate that describes it; no framework."""
