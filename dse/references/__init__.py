"""Networks and figures of the literature."""
