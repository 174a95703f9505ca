"""The clusters that a person named in a correction of items; and what a cluster's id is by now."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ADD = "ALTER TABLE stage4.corrections ADD COLUMN clusters text[] NOT NULL DEFAULT '{}'"
INDEX = "CREATE INDEX corrections_naming_cluster ON stage4.corrections USING gin (clusters)"
COMMENTS = {
    "stage4.corrections.clusters": "Lasting ids of the clusters that were named in together, or "
    "that items of apart leave; items and others have the members that stood for them.",
    "stage4.clusters.cluster_id": "Lasting id: <cluster_type>_ and 12 hex digits, the same in "
    "every run as long as the story lasts.",
}
FORMER = {
    "stage4.clusters.cluster_id": "<cluster_type>_ and 12 hex digits of the digest of the members' "
    "vector ids: the same members have the same id in every run.",
}


def upgrade() -> None:
    """Make room for the names; earlier corrections have none."""
    op.execute(ADD)
    op.execute(INDEX)
    _comment(COMMENTS)


def downgrade() -> None:
    """Forget the names."""
    op.execute("ALTER TABLE stage4.corrections DROP COLUMN clusters")
    _comment(FORMER)


def _comment(columns: dict[str, str]) -> None:
    for column, text in columns.items():
        quoted = text.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON COLUMN {column} IS '{quoted}'")
