"""The SQL, a module for each kind of row that is read."""
