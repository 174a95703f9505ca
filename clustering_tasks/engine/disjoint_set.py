"""Disjoint sets as a forest: each node has a parent, a root is its own."""

from clustering_tasks.arrays import I32
from clustering_tasks.engine.compile import kernel


@kernel
def find(parent: I32, node: int) -> int:
    """Return the root of a node's tree, halving the path to it."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
