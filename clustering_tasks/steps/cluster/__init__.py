"""Step `cluster`."""
