"""Key phrases of clusters are searched, beside label, keywords and entities."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Records of loads from before key phrases have none.
EXPRESSION = """
setweight(to_tsvector('simple', left(label, 1000)), 'A')
|| setweight(to_tsvector('simple', coalesce(stage4.search_words(keywords), '')), 'B')
|| setweight(to_tsvector('simple', coalesce(stage4.search_words(primary_entities), '')), 'B')
"""
KEY_PHRASES = """
|| setweight(
    to_tsvector('simple', coalesce(stage4.search_words(record->'key_phrases'), '')), 'B'
)
"""
COMMENT = "Words of label (weight A), {others} (B), of the text search configuration simple."
# PostgreSQL changes the expression of a column from version 17 on only, and drops no column that a
# view reads.
VIEW = "current_clusters"
DEFINITION = (
    "SELECT pg_get_viewdef(:view ::regclass), obj_description(:view ::regclass, 'pg_class')"
)
COLUMN_COMMENTS = """
SELECT attname, col_description(attrelid, attnum) FROM pg_attribute
WHERE attrelid = :view ::regclass AND col_description(attrelid, attnum) IS NOT NULL
"""
GRANTS = """
SELECT format(
    'GRANT %s ON stage4.%I TO %s%s', privilege_type, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = :view ::regclass AND grantee <> relowner
"""


def upgrade() -> None:
    """Write the searched words of all runs anew; readers wait meanwhile."""
    _search(EXPRESSION + KEY_PHRASES, "keywords, primary_entities and key phrases")


def downgrade() -> None:
    """Search without key phrases, as before."""
    _search(EXPRESSION, "keywords and primary_entities")


def _search(expression: str, others: str) -> None:
    view = {"view": f"stage4.{VIEW}"}
    connection = op.get_bind()
    definition, purpose = connection.execute(sa.text(DEFINITION), view).one()
    comments = connection.execute(sa.text(COLUMN_COMMENTS), view).all()
    grants = connection.execute(sa.text(GRANTS), view).scalars().all()
    op.execute(f"DROP VIEW stage4.{VIEW}")
    op.execute("ALTER TABLE stage4.clusters DROP COLUMN search")
    op.execute(
        "ALTER TABLE stage4.clusters ADD COLUMN search tsvector NOT NULL"
        f" GENERATED ALWAYS AS ({expression}) STORED"
    )
    op.execute("CREATE INDEX clusters_by_word ON stage4.clusters USING gin (search)")
    connection.exec_driver_sql(f"CREATE VIEW stage4.{VIEW} AS {definition}")
    for grant in grants:
        connection.exec_driver_sql(grant)
    _comment_on(f"VIEW stage4.{VIEW}", purpose)
    for column, text in comments:
        _comment_on(f"COLUMN stage4.{VIEW}.{column}", text)
    _comment_on("COLUMN stage4.clusters.search", COMMENT.format(others=others))


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
