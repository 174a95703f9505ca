"""Step `identify`."""
