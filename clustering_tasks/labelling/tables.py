"""The tables that `label` writes: members as Parquet, clusters and members as CSV for COPY."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.storage import to_json

MEMBER_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("vector_id", "source_id", "cluster_id")),
        *((name, pa.string()) for name in ("status", "assignment")),
        *((name, pa.float32()) for name in ("probability", "similarity")),
        ("metadata", pa.string()),
    ]
)
_LOADED_MEMBERS = (
    "vector_id",
    "source_id",
    "document_id",
    "cluster_id",
    "status",
    "assignment",
    "probability",
    "similarity",
    "occurred_at",
    "metadata",
)
_TIME = pa.timestamp("us", tz="UTC")
CLUSTER_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("cluster_id", "cluster_type", "label")),
        ("size", pa.int64()),
        *((name, pa.string()) for name in ("domain", "event_type", "entity_type")),
        ("start_time", _TIME),
        ("end_time", _TIME),
        ("intra_cluster_similarity", pa.float64()),
        ("mean_probability", pa.float64()),
        *(
            (name, pa.string())
            for name in (
                "centroid",
                "keywords",
                "representatives",
                "primary_entities",
                "document_ids",
                "record",
            )
        ),
    ]
)


def write_members(items: pa.Table, parquet: UPath, csv: UPath) -> None:
    """Write one row per input vector, in the order of their ids."""
    with parquet.open("wb") as file:
        pq.write_table(items.select(MEMBER_SCHEMA.names).cast(MEMBER_SCHEMA), file)
    _write_csv(items.rename_columns({"start_time": "occurred_at"}).select(_LOADED_MEMBERS), csv)


def write_clusters(records: Iterable[dict[str, Any]], csv: UPath) -> None:
    """Write one row per cluster."""
    rows = [_cluster_row(record) for record in records]
    _write_csv(pa.Table.from_pylist(rows, schema=CLUSTER_SCHEMA), csv)


def _cluster_row(record: dict[str, Any]) -> dict[str, Any]:
    start, end = record["temporal_span"] or (None, None)
    stored = {k: v for k, v in record.items() if k not in _STORED_APART}
    return {
        "cluster_id": record["cluster_id"],
        "cluster_type": record["cluster_type"],
        "label": record["cluster_label"],
        "size": record["cluster_size"],
        "domain": record["domain"],
        "event_type": record["event_type"],
        "entity_type": record.get("entity_type"),
        "start_time": start,
        "end_time": end,
        "intra_cluster_similarity": record["intra_cluster_similarity"],
        "mean_probability": record["metadata"]["mean_probability"],
        "centroid": to_json(record["centroid_vector"]).decode(),
        "keywords": to_json(record["keywords"]).decode(),
        "representatives": to_json(record["representatives"]).decode(),
        "primary_entities": to_json(record["primary_entities"]).decode(),
        "document_ids": to_json(record["document_ids"]).decode(),
        "record": to_json(stored).decode(),
    }


# In columns or in `members` already; together they are most of a record's bytes.
_STORED_APART = (
    "centroid_vector",
    "member_ids",
    "member_probabilities",
    "member_similarities",
)


def _write_csv(table: pa.Table, path: UPath) -> None:
    """Write RFC 4180 with a header; null is an empty field, an empty text is quoted."""
    with path.open("wb") as file:
        pyarrow.csv.write_csv(table, file)
