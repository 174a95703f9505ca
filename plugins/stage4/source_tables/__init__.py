"""Tables of PostgreSQL as a source: chosen, read into files of Stage 3's form, written back to."""
