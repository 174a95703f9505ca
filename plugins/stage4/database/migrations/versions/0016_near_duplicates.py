"""Which member of its cluster an item is a near-duplicate of."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# No default: no row is written. Loads of before have none.
ADD = "ALTER TABLE stage4.members ADD COLUMN near_duplicate_of text"
PURPOSE = (
    "Source id of the member of the same cluster that the item is a near-duplicate of; null: of "
    "none, or it stands for the others."
)
LEVELS = ("documents", "events", "entities", "storylines")
# The columns of the view since 0011.
COLUMNS = (
    *("load_id", "vector_id", "source_id", "document_id", "cluster_id", "status", "assignment"),
    *("probability", "similarity", "occurred_at", "metadata", "load_id AS run_id", "tags"),
)
# One branch per level: a scalar sub-query prunes to the one partition, which a join would not.
ROWS = """
SELECT '{level}'::text AS level, {columns} FROM stage4.members
WHERE load_id = (SELECT load_id FROM stage4.published WHERE level = '{level}')
"""
GRANTS = """
SELECT format(
    'GRANT %s ON stage4.%I TO %s%s', privilege_type, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class, aclexplode(relacl)
WHERE oid = 'stage4.current_members'::regclass AND grantee <> relowner
"""
VIEW_COMMENTS = """
SELECT obj_description(pg_class.oid, 'pg_class'), col_description(attrelid, attnum)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE pg_class.oid = 'stage4.current_members'::regclass AND attname = 'run_id'
"""


def upgrade() -> None:
    """Make room for it, in the view too."""
    op.execute(ADD)
    _replace_view(*COLUMNS, "near_duplicate_of")
    _comment_on("COLUMN stage4.members.near_duplicate_of", PURPOSE)


def downgrade() -> None:
    """Forget it."""
    grants = op.get_bind().execute(sa.text(GRANTS)).scalars().all()
    purpose, alias = op.get_bind().execute(sa.text(VIEW_COMMENTS)).one()
    op.execute("DROP VIEW stage4.current_members")
    op.execute("ALTER TABLE stage4.members DROP COLUMN near_duplicate_of")
    _replace_view(*COLUMNS)
    for grant in grants:
        op.get_bind().exec_driver_sql(grant)
    _comment_on("VIEW stage4.current_members", purpose)
    _comment_on("COLUMN stage4.current_members.run_id", alias)


def _replace_view(*columns: str) -> None:
    listed = ", ".join(columns)
    rows = (ROWS.format(level=level, columns=listed) for level in LEVELS)
    op.execute("CREATE OR REPLACE VIEW stage4.current_members AS " + "UNION ALL".join(rows))


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
