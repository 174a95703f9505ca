"""Step `tag`."""
