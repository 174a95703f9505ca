"""The map of each run: where its clusters and members are drawn."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Without an index of places: a view reads its rectangle's points in the order of their rank, which
# is the key, and all 220,000 of the largest map are read in some 30 ms.
POINTS = """
CREATE TABLE stage4.points (
    run_id bigint NOT NULL,
    rank integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('cluster', 'member')),
    cluster_id text COLLATE "C" NOT NULL,
    vector_id text COLLATE "C",
    x real NOT NULL,
    y real NOT NULL,
    size integer,
    PRIMARY KEY (run_id, rank),
    CONSTRAINT members_have_a_name CHECK ((kind = 'member') = (vector_id IS NOT NULL)),
    CONSTRAINT clusters_have_a_size CHECK ((kind = 'cluster') = (size IS NOT NULL))
) PARTITION BY LIST (run_id)
"""
PURPOSE = "The map of each run, drawn by the step map; each run has a partition, points_<run_id>."
COLUMNS = {
    "run_id": "Of stage4.runs.",
    "rank": "A view shows the points of the lowest ranks: clusters by size, then members.",
    "kind": "cluster or member.",
    "cluster_id": "Of the cluster, or of the member's.",
    "vector_id": "Of the member; null for a cluster.",
    "x": "Between -1 and 1, a cluster's radius more for members.",
    "y": "As x.",
    "size": "Members of the cluster; null for a member.",
}


def upgrade() -> None:
    """Make room for maps; runs loaded before have none."""
    op.execute(POINTS)
    _comment_on("TABLE stage4.points", PURPOSE)
    for column, meaning in COLUMNS.items():
        _comment_on(f"COLUMN stage4.points.{column}", meaning)


def downgrade() -> None:
    """Forget all maps."""
    op.execute("DROP TABLE stage4.points")


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
