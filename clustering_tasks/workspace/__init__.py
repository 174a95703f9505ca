"""Runs and their artefacts, and the files that hold them."""
