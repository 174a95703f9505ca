"""Step `merge`."""
