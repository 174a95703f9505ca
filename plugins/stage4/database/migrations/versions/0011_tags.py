"""Tags of clusters with their confidence, and those that items got."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

# A constant default: no row is written. That of a partitioned table reaches its partitions.
ADD = "ALTER TABLE stage4.members ADD COLUMN tags jsonb NOT NULL DEFAULT '[]'"
# Before, clusters had no tags, whatever the comment said of their form.
FORGET = "UPDATE stage4.clusters SET tags = '[]' WHERE tags <> '[]'"
LEVELS = ("documents", "events", "entities", "storylines")
# The columns of the view since 0007.
COLUMNS = (
    *("load_id", "vector_id", "source_id", "document_id", "cluster_id", "status", "assignment"),
    *("probability", "similarity", "occurred_at", "metadata", "load_id AS run_id"),
)
# One branch per level: a scalar sub-query prunes to the one partition, which a join would not.
ROWS = """
SELECT '{level}'::text AS level, {columns} FROM stage4.members
WHERE load_id = (SELECT load_id FROM stage4.published WHERE level = '{level}')
"""
GRANTS = """
SELECT format(
    'GRANT %s ON stage4.current_members TO %s%s', privilege_type,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class, aclexplode(relacl)
WHERE oid = 'stage4.current_members'::regclass AND grantee <> relowner
"""
VIEW_COMMENTS = (
    "SELECT obj_description('stage4.current_members'::regclass, 'pg_class'),"
    " col_description(attrelid, attnum) FROM pg_attribute"
    " WHERE attrelid = 'stage4.current_members'::regclass AND attname = 'run_id'"
)
OF_CLUSTER = (
    "Array of {category, tag, confidence, members, applied, conflicts}, the surest first: how many "
    "members bear it, got it, and kept others of the category."
)
OF_ITEM = (
    "Array of {category, tag, confidence, source}: tags that the item got from its cluster or by "
    "its text. Stage 3's own are in metadata."
)


def upgrade() -> None:
    """Make room for the tags of items, in the view too."""
    op.execute(ADD)
    op.execute("CREATE OR REPLACE VIEW stage4.current_members AS " + _query(*COLUMNS, "tags"))
    _comment_on("COLUMN stage4.clusters.tags", OF_CLUSTER)
    _comment_on("COLUMN stage4.members.tags", OF_ITEM)


def downgrade() -> None:
    """Forget the tags."""
    grants = op.get_bind().execute(sa.text(GRANTS)).scalars().all()
    purpose, alias = op.get_bind().execute(sa.text(VIEW_COMMENTS)).one()
    op.execute("DROP VIEW stage4.current_members")
    op.execute("ALTER TABLE stage4.members DROP COLUMN tags")
    op.execute(FORGET)
    op.execute("CREATE VIEW stage4.current_members AS " + _query(*COLUMNS))
    for grant in grants:
        op.get_bind().exec_driver_sql(grant)
    _comment_on("VIEW stage4.current_members", purpose)
    _comment_on("COLUMN stage4.current_members.run_id", alias)
    _comment_on("COLUMN stage4.clusters.tags", "Array of strings.")


def _query(*columns: str) -> str:
    listed = ", ".join(columns)
    return "UNION ALL".join(ROWS.format(level=level, columns=listed) for level in LEVELS)


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
