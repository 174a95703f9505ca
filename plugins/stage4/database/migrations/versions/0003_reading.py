"""What readers of the clusters need: search, indexes, tags, alerts, the history of publications."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

VIEWS = ("current_runs", "current_clusters", "current_members")

# Ids are compared byte by byte: with the rules of a language the four indexes of a run of a million
# members take several times as long, and break when the system's library changes these rules.
IDS = {
    "clusters": ("cluster_id",),
    "members": ("vector_id", "source_id", "document_id", "cluster_id"),
}
CLUSTER_EXISTS = """
SELECT relname, pg_get_constraintdef(pg_constraint.oid)
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE conname = 'cluster_exists' AND connamespace = 'stage4'::regnamespace
"""

# The parser needs quadratic time for a text without blanks (2.5 s for 20,000 characters of `a_`),
# and a tsvector of more than a megabyte is an error: 21,000 characters in short words stay below
# a quarter of that in any script.
SEARCH_WORDS = """
CREATE FUNCTION stage4.search_words(list jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT left(string_agg(left(value, 200), ' '), 10000)
    FROM pg_catalog.jsonb_array_elements_text(list)
)
"""
# 'simple', because news come in several languages and a level is not told apart by them: another
# configuration would drop words that are stop words of its own language only ("IT", "The Who") and
# cut the endings of all others by its rules. Readers ask for a word's beginning (`summit:*`).
TAGS_AND_SEARCH = """
ALTER TABLE stage4.clusters
ADD COLUMN tags jsonb NOT NULL DEFAULT '[]',
ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('simple', left(label, 1000)), 'A')
    || setweight(to_tsvector('simple', coalesce(stage4.search_words(keywords), '')), 'B')
    || setweight(to_tsvector('simple', coalesce(stage4.search_words(primary_entities), '')), 'B')
) STORED
"""

# Without run_id: readers go to a run's partition by its own name. The primary keys have it, as
# those of a partitioned table must.
INDEXES = {
    "clusters_by_size": "clusters (size DESC, cluster_id)",
    "clusters_by_time": "clusters (start_time, end_time)",
    "clusters_by_word": "clusters USING gin (search)",
    "clusters_by_keyword": "clusters USING gin (keywords jsonb_path_ops)",
    "clusters_by_document": "clusters USING gin (document_ids jsonb_path_ops)",
    "clusters_by_tag": "clusters USING gin (tags jsonb_path_ops)",
    "members_of_cluster": "members (cluster_id, probability DESC NULLS LAST, vector_id)",
    "members_by_source": "members (source_id)",
    "members_by_document": "members (document_id)",
}
MEMBERS_BY_CLUSTER = "CREATE INDEX members_by_cluster ON stage4.members (run_id, cluster_id)"

# The same expression as stage4.database.schema.centroid(), whose queries it serves.
NEIGHBOURS = """
CREATE INDEX IF NOT EXISTS {table}_neighbours ON stage4.{table}
USING hnsw ((centroid::halfvec({dimension})) halfvec_cosine_ops)
"""
LOADED_RUNS = """
SELECT relname, (report->'settings'->'input'->>'dimension')::integer
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
JOIN stage4.runs ON run_id = substring(relname FROM '[0-9]+$')::bigint
WHERE inhparent = 'stage4.clusters'::regclass
AND (report->'settings'->'input'->>'dimension')::integer <= 4000 ORDER BY run_id
"""

ALERTS = """
CREATE TABLE stage4.alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    level text NOT NULL,
    name text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    message text NOT NULL,
    action text NOT NULL,
    value double precision,
    limit_value double precision,
    raised_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (level, run_id) REFERENCES stage4.runs (level, run_id) ON DELETE CASCADE
)
"""
ALERTS_BY_TIME = "CREATE INDEX alerts_by_time ON stage4.alerts (level, raised_at DESC)"
ALERTS_BY_RUN = "CREATE INDEX alerts_by_run ON stage4.alerts (run_id)"

# Without a foreign key: the history outlives the runs.
PUBLICATIONS = """
CREATE TABLE stage4.publications (
    publication_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL,
    run_id bigint NOT NULL,
    job_id text NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now(),
    act text NOT NULL CHECK (act IN ('publish', 'roll_back'))
)
"""
PUBLICATIONS_BY_LEVEL = (
    "CREATE INDEX publications_by_level ON stage4.publications (level, publication_id)"
)
EARLIER_PUBLICATIONS = """
INSERT INTO stage4.publications (level, run_id, job_id, moved_at, act)
SELECT level, run_id, job_id, published_at, 'publish'
FROM stage4.runs WHERE published_at IS NOT NULL ORDER BY published_at, run_id
"""

CURRENT_RUNS = """
CREATE VIEW stage4.current_runs AS
SELECT runs.* FROM stage4.published JOIN stage4.runs USING (level, run_id)
"""
# One branch per level: a scalar sub-query prunes to the one partition, which a join would not.
BRANCH = """
SELECT 'LEVEL'::text AS level, * FROM stage4.TABLE
WHERE run_id = (SELECT run_id FROM stage4.published WHERE level = 'LEVEL')
"""
LEVELS = ("documents", "events", "entities", "storylines")
CURRENT_ROWS = "CREATE VIEW stage4.current_TABLE AS" + "UNION ALL".join(
    BRANCH.replace("LEVEL", level) for level in LEVELS
)

GRANTS = """
SELECT format(
    'GRANT %s ON stage4.%I TO %s%s', privilege_type, relname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class, aclexplode(relacl)
WHERE relnamespace = 'stage4'::regnamespace AND relname = ANY(:views) AND grantee <> relowner
"""


def upgrade() -> None:
    """Rewrite the clusters and index all runs; readers wait meanwhile."""
    grants = _drop_views()
    for statement in (SEARCH_WORDS, TAGS_AND_SEARCH, "DROP INDEX stage4.members_by_cluster"):
        op.execute(statement)
    _collate('"C"')
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON stage4.{what}")
    for table, dimension in op.get_bind().execute(sa.text(LOADED_RUNS)).all():
        op.execute(NEIGHBOURS.format(table=table, dimension=dimension))
    for statement in (
        *(ALERTS, ALERTS_BY_TIME, ALERTS_BY_RUN),
        *(PUBLICATIONS, PUBLICATIONS_BY_LEVEL, EARLIER_PUBLICATIONS),
    ):
        op.execute(statement)
    _create_views(grants)
    _comment()


def downgrade() -> None:
    """Forget tags, alerts and the history of publications; runs stay."""
    grants = _drop_views()
    op.execute("DROP TABLE stage4.publications, stage4.alerts")
    for table, _ in op.get_bind().execute(sa.text(LOADED_RUNS)).all():
        op.execute(f"DROP INDEX IF EXISTS stage4.{table}_neighbours")
    for name in INDEXES:
        op.execute(f"DROP INDEX stage4.{name}")
    _collate('"default"')
    op.execute("ALTER TABLE stage4.clusters DROP COLUMN search, DROP COLUMN tags")
    op.execute("DROP FUNCTION stage4.search_words(jsonb)")
    op.execute(MEMBERS_BY_CLUSTER)
    _create_views(grants)


def _drop_views() -> list[str]:
    """Drop what the columns cannot change below, and return the readers' rights to it."""
    grants = op.get_bind().execute(sa.text(GRANTS), {"views": list(VIEWS)}).scalars().all()
    op.execute("DROP VIEW " + ", ".join(f"stage4.{view}" for view in VIEWS))
    return list(grants)


def _create_views(grants: Iterable[str]) -> None:
    op.execute(CURRENT_RUNS)
    for table in IDS:
        op.execute(CURRENT_ROWS.replace("TABLE", table))
    for grant in grants:
        op.get_bind().exec_driver_sql(grant)


def _collate(collation: str) -> None:
    foreign_keys = op.get_bind().execute(sa.text(CLUSTER_EXISTS)).all()
    for members, _ in foreign_keys:
        op.execute(f"ALTER TABLE stage4.{members} DROP CONSTRAINT cluster_exists")
    for table, columns in IDS.items():
        changes = ", ".join(f"ALTER {name} TYPE text COLLATE {collation}" for name in columns)
        op.execute(f"ALTER TABLE stage4.{table} {changes}")
    for members, definition in foreign_keys:
        op.execute(f"ALTER TABLE stage4.{members} ADD CONSTRAINT cluster_exists {definition}")


def _comment() -> None:
    for table, (purpose, columns) in COMMENTS.items():
        kind = "VIEW" if table in VIEWS else "TABLE"
        _comment_on(f"{kind} stage4.{table}", purpose)
        for column, meaning in columns.items():
            _comment_on(f"COLUMN stage4.{table}.{column}", meaning)


def _comment_on(what: str, text: str) -> None:
    quoted = text.replace("'", "''")
    op.get_bind().exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


COMMENTS: dict[str, tuple[str, dict[str, str]]] = {
    "runs": (
        "One row for each load of a run. A job that is loaded again gets a new run_id.",
        {
            "run_id": "Number of the load; its rows are in clusters_<run_id> and members_<run_id>.",
            "level": "documents, events, entities or storylines.",
            "job_id": "<dag_id>.<Airflow run id>, or the name given on the command line.",
            "as_of": "The moment for which the run was made: the end of its data interval.",
            "algorithm": "That found the clusters.",
            "read": "Items of the snapshot: the sum of the four counts that follow.",
            "clustered": "Items in a cluster.",
            "noise": "Items that belong to no cluster.",
            "filtered": "Items that the filters left out before clustering.",
            "unassigned": "Items of parts that failed, in a run with allow_partial.",
            "clusters": "Number of clusters.",
            "coverage": "clustered / (read - filtered); null when that is a share of nothing.",
            "outlier_share": "noise / (read - filtered); null when that is a share of nothing.",
            "largest_cluster_share": "Share of the clustered items in the largest cluster.",
            "report": "The whole report.json of `label`, with the settings of the run.",
            "loaded_at": "When the load began.",
            "published_at": "When readers first saw it; null when they never did.",
        },
    ),
    "clusters": (
        "The clusters of all runs; each run has a partition, clusters_<run_id>.",
        {
            "run_id": "Of stage4.runs.",
            "cluster_id": "<cluster_type>_ and 12 hex digits of the digest of the members' vector "
            "ids: the same members have the same id in every run.",
            "cluster_type": "document, event, entity or storyline.",
            "label": "What people read.",
            "size": "Number of members.",
            "domain": "The members' most frequent domain.",
            "event_type": "The members' most frequent event type.",
            "entity_type": "The members' most frequent entity type.",
            "start_time": "Earliest time of a member; null when none has a date.",
            "end_time": "Latest time of a member; null when none has a date.",
            "intra_cluster_similarity": "Mean cosine of all pairs of members.",
            "mean_probability": "Mean of the members' probabilities.",
            "centroid": "Unit vector; its dimension is a setting of the run.",
            "keywords": "Array of strings, the heaviest first.",
            "representatives": "Array of {id, title, similarity}, the most central first.",
            "primary_entities": "Array of strings, the most frequent first.",
            "document_ids": "Array of strings: documents that the members are from.",
            "record": "The line of the JSONL, without centroid and members.",
            "tags": "Array of strings.",
            "search": "Words of label (weight A), keywords and primary_entities (B), of the text "
            "search configuration simple.",
        },
    ),
    "members": (
        "One row for each item of the snapshot; each run has a partition, members_<run_id>.",
        {
            "run_id": "Of stage4.runs.",
            "vector_id": "The item's name in Stage 3's index.",
            "source_id": "The item's name in Stage 3's metadata.",
            "document_id": "The document that it is from; null when it is not known.",
            "cluster_id": "Null unless status is clustered.",
            "status": "clustered, noise, filtered or unassigned.",
            "assignment": "core, or nearest when the outlier policy put it there; individual for "
            "noise that is kept apart.",
            "probability": "Strength of the membership, 0 to 1.",
            "similarity": "Cosine with the cluster's centroid.",
            "occurred_at": "The item's date; null when it has none.",
            "metadata": "Stage 3's metadata of the item.",
        },
    ),
    "metrics": (
        "Every number of a run's report, by name; null is what was not measured.",
        {
            "run_id": "Of stage4.runs.",
            "level": "Of the run.",
            "name": "Path in the report, as quality.silhouette.",
            "value": "Null when it was not measured.",
        },
    ),
    "alerts": (
        "What a run's metrics gave cause to say; removed with the run.",
        {
            "alert_id": "Ascending in the order of raising.",
            "run_id": "Of stage4.runs.",
            "level": "Of the run.",
            "name": "Of the rule.",
            "severity": "info, warning or critical.",
            "message": "What was found.",
            "action": "What to do about it.",
            "value": "The measured value.",
            "limit_value": "The value that it was compared with.",
            "raised_at": "When.",
        },
    ),
    "published": (
        "One row for each level: the pointer to the run that readers see.",
        {
            "level": "documents, events, entities or storylines.",
            "run_id": "Null until a run is published.",
            "moved_at": "When the pointer moved last.",
        },
    ),
    "publications": (
        "Every move of a pointer; kept when the run is removed.",
        {
            "publication_id": "Ascending in the order of the moves.",
            "level": "Of the run.",
            "run_id": "Of stage4.runs, as long as that row is there.",
            "job_id": "Of the run.",
            "moved_at": "When.",
            "act": "publish, or roll_back to a run that was published before.",
        },
    ),
    "current_runs": ("The published run of each level.", {}),
    "current_clusters": ("The clusters of the published runs.", {}),
    "current_members": ("The members of the published runs.", {}),
}
