"""Step `redact`."""
