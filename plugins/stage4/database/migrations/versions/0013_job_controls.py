"""What people decided about jobs: which are paused, and which were canceled."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

JOB_CONTROLS = """
CREATE TABLE stage4.job_controls (
    job_id text COLLATE "C" PRIMARY KEY,
    dag_id text NOT NULL,
    dag_run text NOT NULL,
    paused_by text,
    paused_at timestamptz,
    canceled_by text,
    canceled_at timestamptz,
    CONSTRAINT paused_by_somebody CHECK ((paused_by IS NULL) = (paused_at IS NULL)),
    CONSTRAINT canceled_by_somebody CHECK ((canceled_by IS NULL) = (canceled_at IS NULL))
)
"""
COMMENTS = {
    "TABLE stage4.job_controls": "What people decided about jobs, each of which is a run of a DAG; "
    "a job without a row is left to itself. Tasks read it when they start.",
    "COLUMN stage4.job_controls.job_id": "`<dag_id>.<run id>`, as in files and in the REST API.",
    "COLUMN stage4.job_controls.dag_id": "Of Airflow.",
    "COLUMN stage4.job_controls.dag_run": "Its run id in Airflow.",
    "COLUMN stage4.job_controls.paused_by": "The user's name; null: it is not paused.",
    "COLUMN stage4.job_controls.paused_at": "Since when no task of it starts; null: it is not "
    "paused.",
    "COLUMN stage4.job_controls.canceled_by": "The user's name; null: it is not canceled.",
    "COLUMN stage4.job_controls.canceled_at": "Since when it is over for good; null: it is not "
    "canceled.",
}


def upgrade() -> None:
    """Make room for the decisions."""
    op.execute(JOB_CONTROLS)
    for what, text in COMMENTS.items():
        quoted = text.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


def downgrade() -> None:
    """Forget them: paused jobs go on, canceled ones look failed."""
    op.execute("DROP TABLE stage4.job_controls")
