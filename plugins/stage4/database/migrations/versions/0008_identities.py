"""Ids that outlive their run: what each was last, what became of it, and what each move changed."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Cluster ids are compared byte by byte, as those of clusters and members (0003).
IDENTITIES = """
CREATE TABLE stage4.identities (
    cluster_id text COLLATE "C" PRIMARY KEY,
    level text NOT NULL,
    state text NOT NULL
        CHECK (state IN ('active', 'merged', 'split', 'dormant', 'ended', 'deleted')),
    born_job text NOT NULL,
    born_at timestamptz NOT NULL,
    last_seen_job text NOT NULL,
    last_seen_at timestamptz NOT NULL,
    successors jsonb NOT NULL,
    version integer NOT NULL
)
"""
IDENTITIES_BY_STATE = "CREATE INDEX identities_by_state ON stage4.identities (level, state)"
LOAD_IDENTITIES = """
CREATE TABLE stage4.load_identities (
    load_id bigint NOT NULL,
    cluster_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    born_job text NOT NULL,
    born_at timestamptz NOT NULL,
    last_seen_job text NOT NULL,
    last_seen_at timestamptz NOT NULL,
    successors jsonb NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (load_id, cluster_id)
) PARTITION BY LIST (load_id)
"""
LOAD_LINEAGE = """
CREATE TABLE stage4.load_lineage (
    load_id bigint NOT NULL,
    cluster_id text COLLATE "C" NOT NULL,
    change text NOT NULL,
    size bigint NOT NULL,
    related jsonb NOT NULL,
    PRIMARY KEY (load_id, cluster_id)
) PARTITION BY LIST (load_id)
"""
# Without a foreign key: what became of an id outlives the runs.
LINEAGE = """
CREATE TABLE stage4.lineage (
    cluster_id text COLLATE "C" NOT NULL,
    job_id text NOT NULL,
    level text NOT NULL,
    load_id bigint NOT NULL,
    as_of timestamptz NOT NULL,
    change text NOT NULL,
    size bigint NOT NULL,
    related jsonb NOT NULL,
    withdrawn boolean NOT NULL DEFAULT false,
    PRIMARY KEY (cluster_id, job_id)
)
"""
LINEAGE_BY_TIME = "CREATE INDEX lineage_by_time ON stage4.lineage (level, as_of)"
PUBLICATIONS = """
ALTER TABLE stage4.publications ADD COLUMN base_load_id bigint, ADD COLUMN changes jsonb
"""
# Ids that were published before there were identities. Until now an id stood for its members, so
# that the same id in several runs is the same cluster; `clusters` still has those of kept runs.
ADOPT = """
INSERT INTO stage4.identities
SELECT cluster_id, level,
    CASE WHEN bool_or(published.load_id IS NOT NULL) THEN 'active' ELSE 'ended' END,
    (array_agg(job_id ORDER BY as_of, load_id))[1], min(as_of),
    (array_agg(job_id ORDER BY as_of DESC, load_id DESC))[1], max(as_of), '[]', 1
FROM stage4.clusters JOIN stage4.runs USING (load_id)
LEFT JOIN stage4.published USING (level, load_id)
WHERE published_at IS NOT NULL GROUP BY cluster_id, level
"""

COMMENTS = {
    "TABLE stage4.identities": "One row for each cluster id that was ever published: what it is "
    "now. The transaction that moves a pointer writes the level's rows from load_identities; rows "
    "are never removed.",
    "COLUMN stage4.identities.cluster_id": "<cluster_type>_ and 12 hex digits.",
    "COLUMN stage4.identities.level": "documents, events, entities or storylines.",
    "COLUMN stage4.identities.state": "active: a cluster of the published run. merged: went into "
    "successors[0]. split: its members went into the successors, none of which keeps the id. "
    "dormant: no cluster of the published run, and one may be it again. ended: for ever gone, or "
    "unknown to the run that a roll-back published. deleted: its documents were deleted, but for "
    "one member at most.",
    "COLUMN stage4.identities.born_job": "The run that gave the id.",
    "COLUMN stage4.identities.born_at": "as_of of that run.",
    "COLUMN stage4.identities.last_seen_job": "The last run with this cluster.",
    "COLUMN stage4.identities.last_seen_at": "as_of of that run.",
    "COLUMN stage4.identities.successors": "Array of cluster ids; not empty when merged or split.",
    "COLUMN stage4.identities.version": "1 at birth, one more whenever the members change.",
    "TABLE stage4.load_identities": "What the identities are when a load is published; each load "
    "has a partition, load_identities_<load_id>. A load from before 0008 has none.",
    "COLUMN stage4.load_identities.load_id": "Of stage4.runs.",
    "TABLE stage4.load_lineage": "What became of each id in a load, by the step identify; each "
    "load has a partition, load_lineage_<load_id>.",
    "COLUMN stage4.load_lineage.load_id": "Of stage4.runs.",
    "TABLE stage4.lineage": "The history of the published ids: load_lineage of every load that "
    "was published, kept when the run is removed. Rows with change = continued go after "
    "STAGE4_RETENTION_DAYS.",
    "COLUMN stage4.lineage.job_id": "Of the run.",
    "COLUMN stage4.lineage.level": "Of the run.",
    "COLUMN stage4.lineage.load_id": "Of the run's last published load; it may have been removed.",
    "COLUMN stage4.lineage.as_of": "Of the run.",
    "COLUMN stage4.lineage.withdrawn": "Whether a roll-back went behind the run.",
    "COLUMN stage4.publications.base_load_id": "The load that readers saw before; null at the "
    "first publication.",
    "COLUMN stage4.publications.changes": "Number of ids by what became of them, from base_load_id "
    "to load_id: {born, returned, changed, relabelled, unchanged, merged, split, dormant, ended, "
    "deleted}; null at the first publication.",
}
OF_EACH = {
    "cluster_id": "Of stage4.identities.",
    "change": "born, continued, grew, merged, split, returned, absorbed, dormant or ended.",
    "size": "Members in the run; 0: no cluster of it.",
    "related": "Array of {cluster_id, shared, of_it, of_this}, the most shared members first: "
    "clusters of earlier runs, or where the id is no cluster of the run, later ones; how many "
    "members they share, and which share that is of theirs and of this one's.",
}
STATES = ("cluster_id", "state", "born_job", "born_at", "last_seen_job", "last_seen_at")


def upgrade() -> None:
    """Make room for identities, and adopt the ids of the runs that are kept."""
    for statement in (
        *(IDENTITIES, IDENTITIES_BY_STATE, LOAD_IDENTITIES, LOAD_LINEAGE),
        *(LINEAGE, LINEAGE_BY_TIME, PUBLICATIONS, ADOPT),
    ):
        op.execute(statement)
    for what, text in COMMENTS.items():
        _comment_on(what, text)
    for table in ("load_lineage", "lineage"):
        for column, text in OF_EACH.items():
            _comment_on(f"COLUMN stage4.{table}.{column}", text)
    for column in (*STATES, "successors", "version"):
        _comment_on(f"COLUMN stage4.load_identities.{column}", "As in stage4.identities.")


def downgrade() -> None:
    """Forget what became of ids; runs stay."""
    op.execute("ALTER TABLE stage4.publications DROP COLUMN base_load_id, DROP COLUMN changes")
    op.execute(
        "DROP TABLE stage4.lineage, stage4.load_lineage, stage4.load_identities, stage4.identities"
    )


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")
