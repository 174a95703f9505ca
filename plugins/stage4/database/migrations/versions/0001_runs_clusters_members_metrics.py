"""Runs, clusters, members, metrics, and the pointer to the published run of each level."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# One row per load. A job that is loaded again gets a new run_id, so that a published load stays
# whole until the new one is published; bigint, because it is in every row and every index.
RUNS = """
CREATE TABLE stage4.runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL,
    job_id text NOT NULL,
    as_of timestamptz NOT NULL,
    algorithm text NOT NULL,
    read bigint NOT NULL,
    clustered bigint NOT NULL,
    noise bigint NOT NULL,
    filtered bigint NOT NULL,
    unassigned bigint NOT NULL,
    clusters bigint NOT NULL,
    coverage double precision,
    outlier_share double precision,
    largest_cluster_share double precision,
    report jsonb NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    UNIQUE (level, run_id),
    CONSTRAINT every_item_is_accounted_for
        CHECK (read = clustered + noise + filtered + unassigned)
)
"""
RUNS_BY_JOB = "CREATE INDEX runs_by_job ON stage4.runs (level, job_id, run_id)"

# `vector` without a dimension, because that is a setting of the run: each partition checks its own.
# An HNSW index needs it in its type and can have it by an expression, `(centroid::vector(768))`.
CLUSTERS = """
CREATE TABLE stage4.clusters (
    run_id bigint NOT NULL,
    cluster_id text NOT NULL,
    cluster_type text NOT NULL,
    label text NOT NULL,
    size integer NOT NULL CHECK (size >= 2),
    domain text,
    event_type text,
    entity_type text,
    start_time timestamptz,
    end_time timestamptz,
    intra_cluster_similarity double precision,
    mean_probability double precision,
    centroid vector NOT NULL,
    keywords jsonb NOT NULL,
    representatives jsonb NOT NULL,
    primary_entities jsonb NOT NULL,
    document_ids jsonb NOT NULL,
    record jsonb NOT NULL,
    PRIMARY KEY (run_id, cluster_id)
) PARTITION BY LIST (run_id)
"""

# That a member's cluster exists is a foreign key between the two partitions of a run: one between
# the parents would check row by row during the COPY, and lock all runs when one of them is dropped.
MEMBERS = """
CREATE TABLE stage4.members (
    run_id bigint NOT NULL,
    vector_id text NOT NULL,
    source_id text NOT NULL,
    document_id text,
    cluster_id text,
    status text NOT NULL CHECK (status IN ('clustered', 'noise', 'filtered', 'unassigned')),
    assignment text CHECK (assignment IN ('core', 'nearest')),
    probability double precision,
    similarity double precision,
    occurred_at timestamptz,
    metadata jsonb NOT NULL,
    PRIMARY KEY (run_id, vector_id),
    CONSTRAINT clustered_means_in_a_cluster
        CHECK ((status = 'clustered') = (cluster_id IS NOT NULL))
) PARTITION BY LIST (run_id)
"""
MEMBERS_BY_CLUSTER = "CREATE INDEX members_by_cluster ON stage4.members (run_id, cluster_id)"

METRICS = """
CREATE TABLE stage4.metrics (
    run_id bigint NOT NULL,
    level text NOT NULL,
    name text NOT NULL,
    value double precision,
    PRIMARY KEY (run_id, name),
    FOREIGN KEY (level, run_id) REFERENCES stage4.runs (level, run_id) ON DELETE CASCADE
)
"""
METRICS_BY_NAME = "CREATE INDEX metrics_by_name ON stage4.metrics (level, name, run_id)"

PUBLISHED = """
CREATE TABLE stage4.published (
    level text PRIMARY KEY,
    run_id bigint,
    moved_at timestamptz,
    FOREIGN KEY (level, run_id) REFERENCES stage4.runs (level, run_id)
)
"""
PUBLISHED_BY_RUN = "CREATE INDEX published_by_run ON stage4.published (run_id)"
NOTHING_PUBLISHED = """
INSERT INTO stage4.published (level)
VALUES ('documents'), ('events'), ('entities'), ('storylines')
"""

CURRENT_RUNS = """
CREATE VIEW stage4.current_runs AS
SELECT runs.* FROM stage4.published JOIN stage4.runs USING (level, run_id)
"""
# One branch per level: a scalar sub-query prunes to the one partition, which a join would not.
CURRENT_ROWS = """
CREATE VIEW stage4.current_TABLE AS
SELECT 'documents'::text AS level, * FROM stage4.TABLE
WHERE run_id = (SELECT run_id FROM stage4.published WHERE level = 'documents')
UNION ALL
SELECT 'events'::text AS level, * FROM stage4.TABLE
WHERE run_id = (SELECT run_id FROM stage4.published WHERE level = 'events')
UNION ALL
SELECT 'entities'::text AS level, * FROM stage4.TABLE
WHERE run_id = (SELECT run_id FROM stage4.published WHERE level = 'entities')
UNION ALL
SELECT 'storylines'::text AS level, * FROM stage4.TABLE
WHERE run_id = (SELECT run_id FROM stage4.published WHERE level = 'storylines')
"""

STATEMENTS = (
    RUNS,
    RUNS_BY_JOB,
    CLUSTERS,
    MEMBERS,
    MEMBERS_BY_CLUSTER,
    METRICS,
    METRICS_BY_NAME,
    PUBLISHED,
    PUBLISHED_BY_RUN,
    NOTHING_PUBLISHED,
    CURRENT_RUNS,
    CURRENT_ROWS.replace("TABLE", "clusters"),
    CURRENT_ROWS.replace("TABLE", "members"),
)


def upgrade() -> None:
    """Create the tables, and the views that follow the pointer."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything, the runs included."""
    op.execute("DROP VIEW stage4.current_members, stage4.current_clusters, stage4.current_runs")
    op.execute(
        "DROP TABLE stage4.published, stage4.metrics, stage4.members, stage4.clusters, stage4.runs"
    )
