"""Step `label`."""
