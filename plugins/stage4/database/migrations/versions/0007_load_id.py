"""The number of a load is `load_id`, because Airflow calls something else `run_id`."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OLD, NEW = "run_id", "load_id"

# A rename changes the catalogue alone: no row is read or written. That of a partitioned table
# reaches its partitions; their indexes, keys and checks refer to columns by number.
TABLES = (
    *("runs", "clusters", "members", "points"),
    *("metrics", "published", "alerts", "publications"),
)
# Names that hold the column's: keys, foreign keys, and from PostgreSQL 18 on NOT NULL, too. A
# partition's own constraints are renamed with their parents'.
CONSTRAINTS = """
SELECT relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE connamespace = 'stage4'::regnamespace AND NOT relispartition
AND conname LIKE '%' || replace(:name, '_', '\\_') || '%' ORDER BY 1, 2
"""

# The columns that the views have had since 0003, between the number and its alias.
VIEWS = {
    "current_runs": (
        *("level", "job_id", "as_of", "algorithm", "read", "clustered", "noise", "filtered"),
        *("unassigned", "clusters", "coverage", "outlier_share", "largest_cluster_share"),
        *("report", "loaded_at", "published_at"),
    ),
    "current_clusters": (
        *("cluster_id", "cluster_type", "label", "size", "domain", "event_type", "entity_type"),
        *("start_time", "end_time", "intra_cluster_similarity", "mean_probability", "centroid"),
        *("keywords", "representatives", "primary_entities", "document_ids", "record", "tags"),
        "search",
    ),
    "current_members": (
        *("vector_id", "source_id", "document_id", "cluster_id", "status", "assignment"),
        *("probability", "similarity", "occurred_at", "metadata"),
    ),
}
LEVELS = ("documents", "events", "entities", "storylines")
RUNS = "SELECT {columns} FROM stage4.published JOIN stage4.runs USING (level, {number})"
# One branch per level: a scalar sub-query prunes to the one partition, which a join would not.
ROWS = """
SELECT '{level}'::text AS level, {columns} FROM stage4.{table}
WHERE {number} = (SELECT {number} FROM stage4.published WHERE level = '{level}')
"""
GRANTS = """
SELECT format(
    'GRANT %s ON stage4.%I TO %s%s', privilege_type, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class, aclexplode(relacl)
WHERE relnamespace = 'stage4'::regnamespace AND relname = ANY(:views) AND grantee <> relowner
"""

PURPOSES = {
    "current_runs": "The published run of each level.",
    "current_clusters": "The clusters of the published runs.",
    "current_members": "The members of the published runs.",
}
ALIAS = "Deprecated alias of load_id."
# The comments before and after.
COMMENTS = {
    "TABLE stage4.runs": (
        "One row for each load of a run. A job that is loaded again gets a new run_id.",
        "One row for each load of a run. A job that is loaded again gets a new load_id.",
    ),
    "COLUMN stage4.runs.{number}": (
        "Number of the load; its rows are in clusters_<run_id> and members_<run_id>.",
        "Number of the load. Its tables: clusters_<load_id>, members_<load_id>, points_<load_id>.",
    ),
    "COLUMN stage4.runs.loaded_at": (
        "When the load began.",
        "When the run was loaded first: a load that replaces another after a deletion keeps this.",
    ),
    "TABLE stage4.clusters": (
        "The clusters of all runs; each run has a partition, clusters_<run_id>.",
        "The clusters of all runs; each load has a partition, clusters_<load_id>.",
    ),
    "TABLE stage4.members": (
        "One row for each item of the snapshot; each run has a partition, members_<run_id>.",
        "One row for each item of the snapshot; each load has a partition, members_<load_id>.",
    ),
    "TABLE stage4.points": (
        "The map of each run, drawn by the step map; each run has a partition, points_<run_id>.",
        "The map of each run, drawn by the step map; each load has a partition, points_<load_id>.",
    ),
}


def upgrade() -> None:
    """Rename the column everywhere; views keep the old name beside the new one."""
    _rename(OLD, NEW)
    for view in VIEWS:
        op.execute(f"ALTER VIEW stage4.{view} RENAME COLUMN {OLD} TO {NEW}")
        op.execute(f"CREATE OR REPLACE VIEW stage4.{view} AS " + _query(view, NEW, alias=OLD))
        _comment_on(f"COLUMN stage4.{view}.{OLD}", ALIAS)
        purpose = f"{PURPOSES[view]} Its column {OLD} is a deprecated alias of {NEW}."
        _comment_on(f"VIEW stage4.{view}", purpose)
    for what, (_, text) in COMMENTS.items():
        _comment_on(what.format(number=NEW), text)


def downgrade() -> None:
    """Give the column its old name back."""
    grants = op.get_bind().execute(sa.text(GRANTS), {"views": list(VIEWS)}).scalars().all()
    op.execute("DROP VIEW " + ", ".join(f"stage4.{view}" for view in VIEWS))
    _rename(NEW, OLD)
    for view, purpose in PURPOSES.items():
        op.execute(f"CREATE VIEW stage4.{view} AS " + _query(view, OLD))
        _comment_on(f"VIEW stage4.{view}", purpose)
    _grant(grants)
    for what, (text, _) in COMMENTS.items():
        _comment_on(what.format(number=OLD), text)


def _rename(old: str, new: str) -> None:
    for table in TABLES:
        op.execute(f"ALTER TABLE stage4.{table} RENAME COLUMN {old} TO {new}")
    op.execute(f"ALTER SEQUENCE stage4.runs_{old}_seq RENAME TO runs_{new}_seq")
    for table, name in op.get_bind().execute(sa.text(CONSTRAINTS), {"name": old}).all():
        renamed = name.replace(old, new)
        op.execute(f"ALTER TABLE stage4.{table} RENAME CONSTRAINT {name} TO {renamed}")


def _query(view: str, number: str, alias: str | None = None) -> str:
    names = [number, *VIEWS[view], *([f"{number} AS {alias}"] if alias else [])]
    if view == "current_runs":
        columns = ", ".join(f"runs.{name}" for name in names)
        return RUNS.format(columns=columns, number=number)
    table, columns = view.removeprefix("current_"), ", ".join(names)
    branches = (
        ROWS.format(level=level, columns=columns, table=table, number=number) for level in LEVELS
    )
    return "UNION ALL".join(branches)


def _grant(grants: Iterable[str]) -> None:
    for grant in grants:
        op.get_bind().exec_driver_sql(grant)


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
