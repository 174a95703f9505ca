"""Events that receivers outside get: written with what they are about, sent afterwards."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

JOBS = """
CREATE TABLE stage4.event_jobs (
    job_id text COLLATE "C" PRIMARY KEY,
    level text NOT NULL,
    run_id text,
    state text CHECK (
        state IN ('queued', 'running', 'paused', 'completed', 'failed', 'canceled')
    ),
    last_sequence integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    ended_at timestamptz,
    percent double precision,
    progress_at timestamptz,
    callback_url text,
    changed_at timestamptz NOT NULL DEFAULT now()
)
"""
OUTBOX = """
CREATE TABLE stage4.outbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    job_id text COLLATE "C" NOT NULL REFERENCES stage4.event_jobs,
    sequence integer NOT NULL,
    key text,
    type text NOT NULL,
    source text NOT NULL,
    traceparent text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    routed_at timestamptz,
    UNIQUE (job_id, sequence),
    UNIQUE (job_id, key)
)
"""
DELIVERIES = """
CREATE TABLE stage4.deliveries (
    number bigint NOT NULL REFERENCES stage4.outbox ON DELETE CASCADE,
    receiver text NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'given_up')),
    attempts integer NOT NULL DEFAULT 0,
    refusals integer NOT NULL DEFAULT 0,
    last_error text,
    since timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    PRIMARY KEY (number, receiver)
)
"""
RECEIVERS = """
CREATE TABLE stage4.event_receivers (
    receiver text PRIMARY KEY,
    failures integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    last_error text
)
"""
INDEXES = {
    "event_jobs_unfinished": "event_jobs (job_id) WHERE ended_at IS NULL",
    "outbox_unrouted": "outbox (number) WHERE routed_at IS NULL",
    "outbox_created": "outbox (created_at)",
    "deliveries_pending": "deliveries (receiver, number) WHERE state = 'pending'",
    "deliveries_pending_of_job": "deliveries (receiver, job_id, number) WHERE state = 'pending'",
    "deliveries_given_up": "deliveries (number) WHERE state = 'given_up'",
}
COMMENTS = {
    "TABLE stage4.event_jobs": "Jobs as their events describe them.",
    "COLUMN stage4.event_jobs.job_id": "The run.",
    "COLUMN stage4.event_jobs.level": "Plural name.",
    "COLUMN stage4.event_jobs.run_id": "Airflow's id of the run; null where only the publication "
    "is known.",
    "COLUMN stage4.event_jobs.state": "By the last event; null where no event is about the job's "
    "state.",
    "COLUMN stage4.event_jobs.last_sequence": "Of the job's last event.",
    "COLUMN stage4.event_jobs.started_at": "Last start; a cleared run starts again.",
    "COLUMN stage4.event_jobs.ended_at": "End of the last start; null while Airflow's run may go "
    "on.",
    "COLUMN stage4.event_jobs.percent": "Share of finished tasks by the last progress event.",
    "COLUMN stage4.event_jobs.progress_at": "Time of the last progress event.",
    "COLUMN stage4.event_jobs.callback_url": "The run's own receiver; null: none.",
    "COLUMN stage4.event_jobs.changed_at": "Time of the last event.",
    "TABLE stage4.outbox": "Events, each written in the transaction of what it is about.",
    "COLUMN stage4.outbox.number": "Ascending; in the order of sequence within a job.",
    "COLUMN stage4.outbox.event_id": "CloudEvents id; webhook-id of every attempt.",
    "COLUMN stage4.outbox.job_id": "Of the run that the event is about.",
    "COLUMN stage4.outbox.sequence": "1, 2, 3... within a job.",
    "COLUMN stage4.outbox.key": "What may happen once; null: no such limit.",
    "COLUMN stage4.outbox.type": "CloudEvents type.",
    "COLUMN stage4.outbox.source": "CloudEvents source.",
    "COLUMN stage4.outbox.traceparent": "W3C trace context; one trace a job.",
    "COLUMN stage4.outbox.data": "CloudEvents data.",
    "COLUMN stage4.outbox.created_at": "CloudEvents time.",
    "COLUMN stage4.outbox.routed_at": "When its deliveries were written; null: not yet.",
    "TABLE stage4.deliveries": "What each receiver gets of the outbox.",
    "COLUMN stage4.deliveries.number": "The event.",
    "COLUMN stage4.deliveries.receiver": "Name of an Airflow connection; callback: the run's own.",
    "COLUMN stage4.deliveries.job_id": "As outbox.",
    "COLUMN stage4.deliveries.state": "pending, delivered, or given_up until somebody sends it "
    "again.",
    "COLUMN stage4.deliveries.attempts": "How often it was sent.",
    "COLUMN stage4.deliveries.refusals": "How often the receiver refused this event.",
    "COLUMN stage4.deliveries.last_error": "Why the last attempt failed; null: none has.",
    "COLUMN stage4.deliveries.since": "When it was first to be sent, or asked to be sent again; it "
    "is given up STAGE4_EVENT_HOURS later.",
    "COLUMN stage4.deliveries.next_attempt_at": "Not before.",
    "COLUMN stage4.deliveries.delivered_at": "When the receiver took it.",
    "TABLE stage4.event_receivers": "Receivers that do not answer, and when they are tried again.",
    "COLUMN stage4.event_receivers.receiver": "As deliveries.",
    "COLUMN stage4.event_receivers.failures": "Attempts in a row without an answer.",
    "COLUMN stage4.event_receivers.retry_at": "No event is sent before; null: it answers.",
    "COLUMN stage4.event_receivers.last_error": "Why the last attempt failed; null: it did not.",
}


def upgrade() -> None:
    """Make room for events."""
    for statement in (JOBS, OUTBOX, DELIVERIES, RECEIVERS):
        op.execute(statement)
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON stage4.{what}")
    for what, text in COMMENTS.items():
        quoted = text.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


def downgrade() -> None:
    """Drop the events, sent or not."""
    op.execute(
        "DROP TABLE stage4.event_receivers, stage4.deliveries, stage4.outbox, stage4.event_jobs"
    )
