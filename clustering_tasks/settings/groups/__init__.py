"""Groups of a run's settings, by what they decide."""
