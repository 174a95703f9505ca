"""What people corrected: kept, undoable, and applied by every later run."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CORRECTIONS = """
CREATE TABLE stage4.corrections (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('together', 'apart', 'rename', 'pin', 'hide')),
    items text[] NOT NULL DEFAULT '{}',
    others text[] NOT NULL DEFAULT '{}',
    cluster_id text COLLATE "C",
    label text,
    documents text[] NOT NULL DEFAULT '{}',
    reason text NOT NULL DEFAULT '',
    made_by text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    undone_by text,
    undone_at timestamptz,
    CONSTRAINT names_what_its_kind_is_about CHECK (
        CASE WHEN kind IN ('together', 'apart')
        THEN cluster_id IS NULL AND cardinality(items) > 0
            AND (cardinality(others) > 0) = (kind = 'apart')
        ELSE cluster_id IS NOT NULL AND cardinality(items) + cardinality(others) = 0 END
    ),
    CONSTRAINT a_name_is_a_rename CHECK ((label IS NULL) = (kind <> 'rename')),
    CONSTRAINT undone_by_somebody CHECK ((undone_by IS NULL) = (undone_at IS NULL))
)
"""
INDEXES = {
    "corrections_of_level": "(level, correction_id)",
    "corrections_of_cluster": "(cluster_id) WHERE cluster_id IS NOT NULL",
    "corrections_of_document": "USING gin (documents)",
}
COMMENTS = {
    "TABLE stage4.corrections": "What people corrected; check_stage3 gives a run those that hold.",
    "COLUMN stage4.corrections.correction_id": "Ascending in the order of time: of two that "
    "contradict the earlier holds.",
    "COLUMN stage4.corrections.level": "Plural name.",
    "COLUMN stage4.corrections.kind": "together: the items are one story. apart: items leave the "
    "cluster of others. rename, pin, hide: of a cluster.",
    "COLUMN stage4.corrections.items": "Vector ids.",
    "COLUMN stage4.corrections.others": "Vector ids that items must not share a cluster with.",
    "COLUMN stage4.corrections.cluster_id": "Lasting id, of rename, pin and hide.",
    "COLUMN stage4.corrections.label": "Of rename.",
    "COLUMN stage4.corrections.documents": "Documents of the items: their deletion erases the row.",
    "COLUMN stage4.corrections.reason": "In the words of the user; may be empty.",
    "COLUMN stage4.corrections.made_by": "The user's name.",
    "COLUMN stage4.corrections.made_at": "When.",
    "COLUMN stage4.corrections.undone_by": "The name of the user who took it back; null: it holds.",
    "COLUMN stage4.corrections.undone_at": "When it was taken back; null: it holds.",
}


def upgrade() -> None:
    """Make room for corrections."""
    op.execute(CORRECTIONS)
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON stage4.corrections {what}")
    for what, text in COMMENTS.items():
        quoted = text.replace("'", "''")
        op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


def downgrade() -> None:
    """Forget what people corrected: the next run undoes it."""
    op.execute("DROP TABLE stage4.corrections")
