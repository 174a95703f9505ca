"""The results database: its schema, loading, publication and retention."""
