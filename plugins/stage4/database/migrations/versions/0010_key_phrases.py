"""Key phrases of clusters are searched, beside label, keywords and entities."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Another expression of the column `search` would write all clusters again. Records of loads from
# before key phrases have none.
SEARCHED = """
CREATE FUNCTION stage4.searched(search tsvector, record jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN search || setweight(
    to_tsvector('simple', coalesce(stage4.search_words(record->'key_phrases'), '')), 'B'
)
"""
BY_SEARCHED_WORD = """
CREATE INDEX clusters_by_searched_word ON stage4.clusters
    USING gin (stage4.searched(search, record))
"""
PURPOSE = (
    "What the API searches: search, and the words of the key phrases in record (weight B). "
    "clusters_by_searched_word is its index."
)


def upgrade() -> None:
    """Index the words of all runs with their key phrases; readers go on meanwhile."""
    op.execute(SEARCHED)
    op.execute(f"COMMENT ON FUNCTION stage4.searched(tsvector, jsonb) IS '{PURPOSE}'")
    op.execute(BY_SEARCHED_WORD)


def downgrade() -> None:
    """Search without key phrases, as before."""
    op.execute("DROP INDEX stage4.clusters_by_searched_word")
    op.execute("DROP FUNCTION stage4.searched(tsvector, jsonb)")
