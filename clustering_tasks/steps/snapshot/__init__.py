"""Step `snapshot`."""
