"""Very many candidates by their cost alone; none is trained."""
