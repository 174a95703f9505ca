"""The files that `label` writes, some rows at a time.

Clusters as JSONL and as CSV for COPY, members as Parquet and as CSV.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from orjson import Fragment
from pyarrow.csv import CSVWriter
from upath import UPath

from clustering_tasks.contract.columns import CLUSTERS, MEMBERS
from clustering_tasks.contract.record import Record
from clustering_tasks.engine.threads import in_turn
from clustering_tasks.workspace.columns import text_schema
from clustering_tasks.workspace.storage import to_json

_TIME = pa.timestamp("us", tz="UTC")
_MEMBER_TYPES = {
    "probability": pa.float32(),
    "similarity": pa.float32(),
    "occurred_at": _TIME,
}
_LOADED_SCHEMA = text_schema(MEMBERS, _MEMBER_TYPES)
MEMBER_SCHEMA = text_schema(
    (name for name in MEMBERS if name not in ("document_id", "occurred_at")), _MEMBER_TYPES
)
_ITEMS = ["vector_id", "source_id", "document_id", "start_time", "metadata"]
_ASSIGNED = ["status", "assignment", "probability", "similarity"]
_REPEATED = ["cluster_id", "status", "assignment"]  # looking for repetition elsewhere is in vain
CLUSTER_SCHEMA = text_schema(
    CLUSTERS,
    {
        "size": pa.int64(),
        "start_time": _TIME,
        "end_time": _TIME,
        "intra_cluster_similarity": pa.float64(),
        "mean_probability": pa.float64(),
        "rate": pa.float64(),
        "earlier_rate": pa.float64(),
        "growth": pa.float64(),
    },
)


_MEMBERS = 16_384


class Clusters(NamedTuple):
    """Some clusters as they are written.

    Attributes:
        lines: of JSON, as a buffer, which goes from process to process as it is.
        rows: of `CLUSTER_SCHEMA`.
    """

    lines: pa.Buffer
    rows: pa.Table


def clusters_of(records: Sequence[Record], sizes: Sequence[int]) -> Clusters:
    """Return the lines and rows of clusters.

    Args:
        records: of some clusters.
        sizes: vectors of each; a record counts several of one item once.
    """
    centroids = [to_json(record["centroid_vector"]) for record in records]  # most of the bytes
    rows = list(map(_cluster_row, records, centroids, sizes))
    return Clusters(
        pa.py_buffer(b"".join(map(_line, records, centroids))),
        pa.Table.from_pylist(rows, schema=CLUSTER_SCHEMA),
    )


def write_clusters(clusters: Iterable[Clusters], jsonl: UPath, csv: UPath) -> None:
    """Write one line and one row per cluster.

    Args:
        clusters: some at a time.
        jsonl: the file of the lines.
        csv: the file for COPY.
    """

    def tables(lines: BinaryIO) -> Iterator[pa.Table]:
        for some in clusters:
            lines.write(some.lines)
            yield some.rows

    with (
        jsonl.open("wb") as lines,
        csv.open("wb") as file,
        CSVWriter(file, CLUSTER_SCHEMA) as writer,
        ThreadPoolExecutor(1) as beside,  # the interpreter has no part in it
    ):
        for _ in in_turn(beside, writer.write_table, tables(lines)):
            pass


def write_members(
    items: UPath,
    assignments: UPath,
    cluster_ids: list[str],
    copies: pa.Array,
    tags: Callable[[int, int], pa.Array],
    parquet: UPath,
    csv: UPath,
) -> None:
    """Write one row per input vector, in the order of their ids.

    Args:
        items: the snapshot's.
        assignments: merge's, row by row for the same items.
        cluster_ids: of the clusters that `assignments` number.
        copies: (n,) from `near_duplicates_of`.
        tags: that the items of some rows got, from one up to another, as JSON.
        parquet: the file of `MEMBER_SCHEMA`.
        csv: the file for COPY.
    """
    with (
        parquet.open("wb") as binary,
        csv.open("wb") as text,
        pq.ParquetWriter(binary, MEMBER_SCHEMA, use_dictionary=_REPEATED) as one,
        CSVWriter(text, _LOADED_SCHEMA) as other,
        ThreadPoolExecutor(1) as beside,
    ):

        def write(batch: pa.Table) -> None:
            one.write_table(batch.select(MEMBER_SCHEMA.names).cast(MEMBER_SCHEMA))

        for batch in _members(items, assignments, pa.array(cluster_ids, pa.string()), copies, tags):
            writing = beside.submit(write, batch)
            other.write_table(batch.select(_LOADED_SCHEMA.names).cast(_LOADED_SCHEMA))
            writing.result()


def _members(
    items: UPath,
    assignments: UPath,
    cluster_ids: pa.Array,
    copies: pa.Array,
    tags: Callable[[int, int], pa.Array],
) -> Iterator[pa.Table]:
    with assignments.open("rb") as file:
        assigned = pq.read_table(file, columns=["cluster", *_ASSIGNED])
    start = 0
    with items.open("rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(_MEMBERS, columns=_ITEMS):
            here = assigned.slice(start, len(batch)).combine_chunks()
            table = pa.Table.from_batches([batch]).rename_columns({"start_time": "occurred_at"})
            of_row = cluster_ids.take(here["cluster"].combine_chunks())
            table = table.append_column("cluster_id", of_row)
            for name in _ASSIGNED:
                table = table.append_column(name, here[name])
            table = table.append_column("near_duplicate_of", copies.slice(start, len(batch)))
            yield table.append_column("tags", tags(start, start + len(batch)))
            start += len(batch)


def _line(record: Record, centroid: bytes) -> bytes:
    return to_json({**record, "centroid_vector": Fragment(centroid)}) + b"\n"


def _cluster_row(record: Record, centroid: bytes, size: int) -> dict[str, Any]:
    start, end = record["temporal_span"] or (None, None)
    trend = record["trend"]
    stored = {k: v for k, v in record.items() if k not in _STORED_APART}
    return {
        "cluster_id": record["cluster_id"],
        "cluster_type": record["cluster_type"],
        "label": record["cluster_label"],
        "size": size,
        "domain": record["domain"],
        "event_type": record["event_type"],
        "entity_type": record.get("entity_type"),
        "start_time": start,
        "end_time": end,
        "intra_cluster_similarity": record["intra_cluster_similarity"],
        "mean_probability": record["metadata"]["mean_probability"],
        "centroid": centroid,
        "keywords": to_json(record["keywords"]),
        "representatives": to_json(record["representatives"]),
        "primary_entities": to_json(record["primary_entities"]),
        "document_ids": to_json(record["document_ids"]),
        "record": to_json(stored),
        "tags": to_json(record["tags"]),
        "trend": trend and trend["state"],
        "rate": trend and trend["rate"],
        "earlier_rate": trend and trend["earlier_rate"],
        "growth": trend and trend["ratio_low"],
    }


# In columns or in `members` already; together they are most of a record's bytes.
_STORED_APART = (
    "centroid_vector",
    "member_ids",
    "member_probabilities",
    "member_similarities",
    "member_tags",
    "near_duplicate_of",
)
