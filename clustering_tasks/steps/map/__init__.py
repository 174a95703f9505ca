"""Step `map`."""
