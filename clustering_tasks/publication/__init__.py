"""The report of a run, its quality gate and alerts, and the published files."""
