"""Deleted documents: their hashes, their mentions, the runs that they were taken out of."""
