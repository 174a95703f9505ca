"""Indexes for lists of clusters by time and by label, which sorted all of a run's rows before."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Without them a page of 20,000 clusters takes 40 ms of a processor, too much for many readers. Of a
# label the first 100 characters: an index takes no entry of more than 2,700 bytes.
INDEXES = {
    "clusters_by_start": "clusters (start_time DESC NULLS LAST, cluster_id)",
    "clusters_by_label": "clusters (left(label, 100), cluster_id)",
}


def upgrade() -> None:
    """Index all runs; readers wait meanwhile."""
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON stage4.{what}")


def downgrade() -> None:
    """Let such lists be slow again."""
    for name in INDEXES:
        op.execute(f"DROP INDEX stage4.{name}")
