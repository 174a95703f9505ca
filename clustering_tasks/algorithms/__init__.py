"""The algorithms behind one interface: a block of the neighbour graph to a flat clustering."""
