"""Events of Stage 3 with other numbers of embeddings are other events: batches of a job."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ONCE = (
    "CREATE UNIQUE INDEX stage3_events_once ON stage4.stage3_events "
    "(type, stage3_job, level, coalesce(total_embeddings, -1))"
)
FEWER = """
DELETE FROM stage4.stage3_events later USING stage4.stage3_events first
WHERE (later.type, later.stage3_job, later.level) = (first.type, first.stage3_job, first.level)
AND later.number > first.number
"""


def upgrade() -> None:
    """Let them be stored."""
    op.execute(ONCE)
    op.drop_constraint("stage3_events_type_stage3_job_level_key", "stage3_events", schema="stage4")


def downgrade() -> None:
    """Keep the first of each job and level."""
    op.execute(FEWER)
    op.create_unique_constraint(
        "stage3_events_type_stage3_job_level_key",
        "stage3_events",
        ["type", "stage3_job", "level"],
        schema="stage4",
    )
    op.execute("DROP INDEX stage4.stage3_events_once")
