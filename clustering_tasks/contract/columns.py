"""Columns of a load's rows, by table, in the order of the files that are copied into the tables.

The steps write CSV files with these headers, COPY reads them, the REST API selects them; a table's
own columns are these, `load_id` and, of `clusters`, the one that only the database fills.
"""

CLUSTERS = (
    *("cluster_id", "cluster_type", "label", "size", "domain", "event_type", "entity_type"),
    *("start_time", "end_time", "intra_cluster_similarity", "mean_probability", "centroid"),
    *("keywords", "representatives", "primary_entities", "document_ids", "record"),
    *("tags", "trend", "rate", "earlier_rate", "growth"),
)
MEMBERS = (
    *("vector_id", "source_id", "document_id", "cluster_id", "status", "assignment"),
    *("probability", "similarity", "occurred_at", "metadata", "tags", "near_duplicate_of"),
)
POINTS = ("rank", "kind", "cluster_id", "vector_id", "x", "y", "size")
# Their types: clustering_tasks.identity.columns.
IDENTITIES = (
    *("cluster_id", "state", "born_job", "born_at", "last_seen_job", "last_seen_at"),
    *("successors", "version"),
)
LINEAGE = ("cluster_id", "change", "size", "related")
COLUMNS = {
    "clusters": CLUSTERS,
    "members": MEMBERS,
    "points": POINTS,
    "load_identities": IDENTITIES,
    "load_lineage": LINEAGE,
}


def file_of(table: str) -> str:
    """Name the file of a step that is copied into a table: `load_lineage` is `lineage_csv`."""
    return f"{table.removeprefix('load_')}_csv"
