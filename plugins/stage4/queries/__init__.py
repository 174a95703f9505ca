"""What is asked of the results database: SQL with names to fill in, and the rows that it gives."""
