"""The neighbour graph of a level: its nodes, their features, and its edges."""
