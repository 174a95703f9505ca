"""Reading what Stage 3 writes: its FAISS indices and their metadata."""
