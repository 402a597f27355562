"""Many files: which there are, what is done with each, and what becomes of all."""
