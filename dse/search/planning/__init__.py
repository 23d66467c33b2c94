"""What a search is going to do, and how long that takes on this machine."""
