"""A snapshot without some of its rows."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_tasks.arrays import I64, Mask
from clustering_tasks.deleted_documents.mentions import Redact
from clustering_tasks.settings.levels import Level
from clustering_tasks.stage3.dates import PlausibleDates
from clustering_tasks.stage3.items import SCHEMA, item_batch
from clustering_tasks.stage3.json_stream import parse
from clustering_tasks.stage3.oddities import Oddities, without_examples
from clustering_tasks.workspace.artefacts import Attempt, Result
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.vector_files import open_vectors, write_vectors

_ITEMS = 8192  # at a time
# The second is the column's name in snapshots of version 0.1.
_IDENTICAL = ("first_identical_row", "twin")


def cut_snapshot(
    old: Result,
    stays: Mask,
    level: Level,
    plausible: PlausibleDates,
    redact: Redact,
    attempt: Attempt,
) -> None:
    """Write the snapshot without some of its rows, and without ids in what the others say.

    Args:
        old: the snapshot, n rows.
        stays: (n,) which of them stay.
        level: of the items.
        plausible: the run's range of dates.
        redact: takes the ids out of an item's metadata.
        attempt: of the new one.
    """
    column = _identical_column(old)
    first = _first_identical_rows(old, column, stays)
    with (
        old.path("items").open("rb") as source,
        attempt.new_file("items", "items.parquet").open("wb") as target,
        pq.ParquetWriter(target, pq.read_schema(source)) as writer,
    ):
        read = written = 0
        for batch in pq.ParquetFile(source).iter_batches(_ITEMS):
            kept = batch.filter(pa.array(stays[read : read + len(batch)]))
            read += len(batch)
            mine = pa.array(first[written : written + len(kept)])
            written += len(kept)
            kept = _with_column(kept, column, mine)
            writer.write_table(_redacted(kept, level, plausible, redact))
    with open_vectors(old.path("vectors")) as vectors:
        blocks = (block[stays[start : start + len(block)]] for start, block in vectors.blocks())
        shape = int(stays.sum()), vectors.shape[1]
        write_vectors(attempt.new_file("vectors", "vectors.npy"), shape, blocks)
    # an example may be of what is deleted
    attempt.metrics = without_examples(old.metrics) | {
        "items": len(first),
        "deleted": int(old.metrics.get("deleted") or 0) + int((~stays).sum()),
        "identical_vectors": int((first != np.arange(len(first))).sum()),
    }


def _with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    at = batch.schema.get_field_index(name)
    return batch.set_column(at, batch.schema.field(at), values)


def _redacted(
    batch: pa.RecordBatch,
    level: Level,
    plausible: PlausibleDates,
    redact: Redact,
) -> pa.Table:
    """Make the rows anew whose metadata name what is deleted, as `snapshot` will in the next run.

    Args:
        batch: items, m rows.
        level: of the items.
        plausible: the run's range of dates.
        redact: takes the ids out of an item's metadata.

    Returns:
        (m) rows in the same order.
    """
    said = [parse(text.encode()) for text in batch["metadata"].to_pylist()]
    left = [redact(each) for each in said]
    rows = [row for row in range(len(said)) if left[row] is not said[row]]
    if not rows:
        return pa.Table.from_batches([batch])
    of_vectors = [name for name in batch.schema.names if name not in SCHEMA.names]
    kept = ("vector_id", "source_id", *of_vectors)
    names = {name: batch[name].take(pa.array(rows)) for name in kept}
    ids = zip(names["vector_id"].to_pylist(), names["source_id"].to_pylist(), rows, strict=True)
    entries = {name: {"source_id": source, "metadata": left[row]} for name, source, row in ids}
    made = item_batch(entries, level, Oddities(), plausible)
    beside = [names[name] for name in of_vectors]
    made = pa.RecordBatch.from_arrays([*made.columns, *beside], schema=batch.schema)
    order = np.arange(len(batch))
    order[rows] = len(batch) + np.arange(len(rows))
    return pa.Table.from_batches([batch, made]).take(pa.array(order))


def _identical_column(snapshot: Result) -> str:
    with snapshot.path("items").open("rb") as file:
        names = pq.read_schema(file).names
    return next(name for name in _IDENTICAL if name in names)


def _first_identical_rows(old: Result, column: str, stays: Mask) -> I64:
    """Return for each row that stays the first such row with the same vector."""
    rows = read_columns(old.path("items"), [column])[column].to_numpy()[stays]
    _, first, group = np.unique(rows, return_index=True, return_inverse=True)
    return np.asarray(first[group], dtype=np.int64)
