"""Tags of clusters, and those that items got; which clusters grow and which fade."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# A constant default: no row is written. That of a partitioned table reaches its partitions.
ADD = "ALTER TABLE stage4.members ADD COLUMN tags jsonb NOT NULL DEFAULT '[]'"
TRENDS = """
ALTER TABLE stage4.clusters
    ADD COLUMN trend text CHECK (trend IN ('growing', 'steady', 'fading', 'unknown')),
    ADD COLUMN rate double precision,
    ADD COLUMN earlier_rate double precision,
    ADD COLUMN growth double precision
"""
CLUSTERS_BY_GROWTH = """
CREATE INDEX clusters_by_growth ON stage4.clusters (growth DESC NULLS LAST, cluster_id)
"""
OF_TREND = {
    "trend": "growing, steady, fading or unknown; null where no member has a date.",
    "rate": "Members a day in the last days.",
    "earlier_rate": "Members a day in the days before.",
    "growth": "Lower bound of rate / earlier_rate, by which lists are sorted.",
}
# Before, clusters had no tags, whatever the comment said of their form.
FORGET = "UPDATE stage4.clusters SET tags = '[]' WHERE tags <> '[]'"
LEVELS = ("documents", "events", "entities", "storylines")
# The columns of the views since 0007.
OF_CLUSTERS = (
    *("load_id", "cluster_id", "cluster_type", "label", "size", "domain", "event_type"),
    *("entity_type", "start_time", "end_time", "intra_cluster_similarity", "mean_probability"),
    *("centroid", "keywords", "representatives", "primary_entities", "document_ids", "record"),
    *("tags", "search", "load_id AS run_id"),
)
OF_MEMBERS = (
    *("load_id", "vector_id", "source_id", "document_id", "cluster_id", "status", "assignment"),
    *("probability", "similarity", "occurred_at", "metadata", "load_id AS run_id"),
)
# One branch per level: a scalar sub-query prunes to the one partition, which a join would not.
ROWS = """
SELECT '{level}'::text AS level, {columns} FROM stage4.{table}
WHERE load_id = (SELECT load_id FROM stage4.published WHERE level = '{level}')
"""
GRANTS = """
SELECT format(
    'GRANT %s ON stage4.%I TO %s%s', privilege_type, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class, aclexplode(relacl)
WHERE relnamespace = 'stage4'::regnamespace AND relname IN ('current_clusters', 'current_members')
AND grantee <> relowner
"""
VIEW_COMMENTS = """
SELECT relname, obj_description(pg_class.oid, 'pg_class'), col_description(attrelid, attnum)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'stage4'::regnamespace AND relname IN ('current_clusters', 'current_members')
AND attname = 'run_id'
"""
OF_CLUSTER = (
    "Array of {category, tag, confidence, members, applied, conflicts}, the surest first: how many "
    "members bear it, got it, and kept others of the category."
)
OF_ITEM = (
    "Array of {category, tag, confidence, source}: tags that the item got from its cluster or by "
    "its text. Stage 3's own are in metadata."
)


def upgrade() -> None:
    """Make room for the tags of items and for trends, in the views too."""
    for statement in (ADD, TRENDS, CLUSTERS_BY_GROWTH):
        op.execute(statement)
    _replace_view("members", *OF_MEMBERS, "tags")
    _replace_view("clusters", *OF_CLUSTERS, *OF_TREND)
    _comment_on("COLUMN stage4.clusters.tags", OF_CLUSTER)
    _comment_on("COLUMN stage4.members.tags", OF_ITEM)
    for column, text in OF_TREND.items():
        _comment_on(f"COLUMN stage4.clusters.{column}", text)


def downgrade() -> None:
    """Forget the tags and the trends."""
    grants = op.get_bind().execute(sa.text(GRANTS)).scalars().all()
    comments = op.get_bind().execute(sa.text(VIEW_COMMENTS)).all()
    op.execute("DROP VIEW stage4.current_members, stage4.current_clusters")
    op.execute("ALTER TABLE stage4.members DROP COLUMN tags")
    dropped = ", ".join(f"DROP COLUMN {column}" for column in OF_TREND)
    op.execute(f"ALTER TABLE stage4.clusters {dropped}")
    op.execute(FORGET)
    _replace_view("members", *OF_MEMBERS)
    _replace_view("clusters", *OF_CLUSTERS)
    for grant in grants:
        op.get_bind().exec_driver_sql(grant)
    for view, purpose, alias in comments:
        _comment_on(f"VIEW stage4.{view}", purpose)
        _comment_on(f"COLUMN stage4.{view}.run_id", alias)
    _comment_on("COLUMN stage4.clusters.tags", "Array of strings.")


def _replace_view(table: str, *columns: str) -> None:
    listed = ", ".join(columns)
    rows = (ROWS.format(level=level, columns=listed, table=table) for level in LEVELS)
    op.execute(f"CREATE OR REPLACE VIEW stage4.current_{table} AS " + "UNION ALL".join(rows))


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
