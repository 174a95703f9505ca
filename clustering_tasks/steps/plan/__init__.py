"""Step `plan`."""
