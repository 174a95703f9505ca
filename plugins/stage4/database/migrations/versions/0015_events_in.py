"""Stage 3's events, and the runs that they ask for."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

EVENTS = """
CREATE TABLE stage4.stage3_events (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type text NOT NULL,
    stage3_job text NOT NULL,
    level text NOT NULL CHECK (level IN ('documents', 'events', 'entities', 'storylines')),
    total_embeddings bigint CHECK (total_embeddings >= 0),
    received_by text NOT NULL CHECK (received_by IN ('stream', 'webhook', 'asset')),
    received_at timestamptz NOT NULL DEFAULT now(),
    run_id text,
    UNIQUE (type, stage3_job, level)
)
"""
RUNS = """
CREATE TABLE stage4.requested_runs (
    level text NOT NULL,
    run_id text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    begun_at timestamptz,
    PRIMARY KEY (level, run_id)
)
"""
INDEXES = {
    "INDEX stage3_events_waiting": "stage3_events (level, number) WHERE run_id IS NULL",
    "INDEX stage3_events_of_assets": "stage3_events (received_at) WHERE received_by = 'asset'",
    "UNIQUE INDEX requested_runs_one": "requested_runs (level) WHERE begun_at IS NULL",
}
COMMENTS = {
    "TABLE stage4.stage3_events": "Stage 3's events, each once, however often it comes.",
    "COLUMN stage4.stage3_events.number": "Ascending, in the order of arrival but for a few.",
    "COLUMN stage4.stage3_events.type": "As Stage 3 names it; asset: an event on the level's "
    "asset in Airflow.",
    "COLUMN stage4.stage3_events.stage3_job": "Stage 3's job; of an asset, number and time of the "
    "event in Airflow.",
    "COLUMN stage4.stage3_events.level": "Plural name.",
    "COLUMN stage4.stage3_events.total_embeddings": "How many it announces; null: it does not say.",
    "COLUMN stage4.stage3_events.received_by": "Which way it came first.",
    "COLUMN stage4.stage3_events.received_at": "When; of an asset, when Airflow took it.",
    "COLUMN stage4.stage3_events.run_id": "Airflow's id of the run that is for it; null: it waits "
    "for more (STAGE4_MIN_EMBEDDINGS).",
    "TABLE stage4.requested_runs": "Runs that Stage 3's events have asked for. Of each level at "
    "most one has not begun.",
    "COLUMN stage4.requested_runs.level": "Plural name.",
    "COLUMN stage4.requested_runs.run_id": "Airflow's; it exists there or will be made.",
    "COLUMN stage4.requested_runs.requested_at": "When it was decided.",
    "COLUMN stage4.requested_runs.begun_at": "When it began to read Stage 3's files, or was seen "
    "to have ended without; null: events that come now are for this run, too.",
}


def upgrade() -> None:
    """Make room for events from Stage 3."""
    op.execute(EVENTS)
    op.execute(RUNS)
    for name, what in INDEXES.items():
        op.execute(f"CREATE {name} ON stage4.{what}")
    for what, text in COMMENTS.items():
        quoted = text.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


def downgrade() -> None:
    """Forget them: an event that comes again counts as new."""
    op.execute("DROP TABLE stage4.requested_runs, stage4.stage3_events")
