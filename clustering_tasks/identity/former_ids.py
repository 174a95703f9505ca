"""Ids as versions before lasting ids made them: of the members alone."""

import hashlib
from collections.abc import Iterable


def former_id(cluster_type: str, vector_ids: Iterable[str]) -> str:
    """Name a cluster by its members: the same vectors, the same id."""
    joined = "\n".join(sorted(vector_ids))
    return f"{cluster_type}_{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
