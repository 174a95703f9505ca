"""HTTP clients of the neighbouring stages."""
