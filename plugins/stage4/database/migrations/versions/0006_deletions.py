"""Documents that were deleted: tombstones and audit, and what Stage 5 is to be told of it."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DELETIONS = """
CREATE TABLE stage4.deletions (
    deletion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_hash text COLLATE "C" NOT NULL UNIQUE,
    key_check text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    carried_out_at timestamptz,
    state text NOT NULL
        GENERATED ALWAYS AS (CASE WHEN carried_out_at IS NULL THEN 'requested' ELSE 'done' END)
        STORED,
    counts jsonb NOT NULL
)
"""
EVENTS = """
CREATE TABLE stage4.deletion_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL,
    event jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz
)
"""
RUNS = "ALTER TABLE stage4.runs ADD COLUMN changed_at timestamptz, ADD COLUMN deleting jsonb"
ACTS = "ALTER TABLE stage4.publications DROP CONSTRAINT publications_act_check"
CHECK_ACTS = """
ALTER TABLE stage4.publications ADD CONSTRAINT publications_act_check CHECK (act IN ({}))
"""
FORMER, PRESENT = "'publish', 'roll_back'", "'publish', 'roll_back', 'delete_document'"

COMMENTS = {
    "TABLE stage4.deletions": "The audit of deleted documents, and their tombstones.",
    "COLUMN stage4.deletions.deletion_id": "Ascending in the order of the requests.",
    "COLUMN stage4.deletions.document_hash": "HMAC-SHA-256 of the document's id, with "
    "STAGE4_DELETION_SECRET.",
    "COLUMN stage4.deletions.key_check": "Tells this secret from another one.",
    "COLUMN stage4.deletions.requested_by": "The user's name.",
    "COLUMN stage4.deletions.requested_at": "When the document was hidden.",
    "COLUMN stage4.deletions.carried_out_at": "When nothing of it was left; null until then.",
    "COLUMN stage4.deletions.state": "requested or done.",
    "COLUMN stage4.deletions.counts": "By level: items, clusters and runs that it was taken out "
    "of when it was hidden.",
    "TABLE stage4.deletion_events": "What Stage 5 is told of deletions.",
    "COLUMN stage4.deletion_events.event_id": "Ascending.",
    "COLUMN stage4.deletion_events.level": "Of the clusters.",
    "COLUMN stage4.deletion_events.event": "As the webhook gets it.",
    "COLUMN stage4.deletion_events.created_at": "When.",
    "COLUMN stage4.deletion_events.delivered_at": "When the webhook took it; null until then.",
    "COLUMN stage4.runs.changed_at": "When a deleted document's rows were taken out; null when "
    "none were.",
    "COLUMN stage4.runs.deleting": "Clusters that lack a deleted document's items and are to be "
    "computed again: {changed: [ids], removed: [ids]}; null when there are none.",
    "COLUMN stage4.publications.act": "publish; roll_back to a run that was published before; or "
    "delete_document, the same run without a document.",
}


def upgrade() -> None:
    """Make room for deletions."""
    for statement in (DELETIONS, EVENTS, RUNS, ACTS, CHECK_ACTS.format(PRESENT)):
        op.execute(statement)
    for what, text in COMMENTS.items():
        quoted = text.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


def downgrade() -> None:
    """Forget which documents are deleted: the next run brings them back."""
    op.execute("DROP TABLE stage4.deletion_events, stage4.deletions")
    op.execute("ALTER TABLE stage4.runs DROP COLUMN changed_at, DROP COLUMN deleting")
    op.execute("UPDATE stage4.publications SET act = 'publish' WHERE act = 'delete_document'")
    op.execute(ACTS)
    op.execute(CHECK_ACTS.format(FORMER))
