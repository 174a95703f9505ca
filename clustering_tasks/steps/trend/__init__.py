"""Step `trend`."""
