"""A snapshot without some of its rows."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_tasks.artefacts import Attempt, Result
from clustering_tasks.labelling.members import read_columns
from clustering_tasks.vectors import open_vectors, write_vectors

Bools = npt.NDArray[np.bool_]


def cut_snapshot(old: Result, stays: Bools, attempt: Attempt) -> None:
    """Write the snapshot without some of its rows.

    Args:
        old: the snapshot, n rows.
        stays: (n,) which of them stay.
        attempt: of the new one.
    """
    twin = _twins(old, stays)
    with (
        old.path("items").open("rb") as source,
        attempt.new_file("items", "items.parquet").open("wb") as target,
    ):
        parquet = pq.ParquetFile(source)
        with pq.ParquetWriter(target, parquet.schema_arrow) as writer:
            read = written = 0
            for batch in parquet.iter_batches():
                kept = batch.filter(pa.array(stays[read : read + len(batch)]))
                read += len(batch)
                at = kept.schema.get_field_index("twin")
                mine = pa.array(twin[written : written + len(kept)])
                writer.write_batch(kept.set_column(at, parquet.schema_arrow.field(at), mine))
                written += len(kept)
    with open_vectors(old.path("vectors")) as vectors:
        blocks = (block[stays[start : start + len(block)]] for start, block in vectors.blocks())
        shape = int(stays.sum()), vectors.shape[1]
        write_vectors(attempt.new_file("vectors", "vectors.npy"), shape, blocks)
    attempt.metrics = old.metrics | {
        "items": len(twin),
        "deleted": int(old.metrics.get("deleted") or 0) + int((~stays).sum()),
        "identical_vectors": int((twin != np.arange(len(twin))).sum()),
    }


def _twins(old: Result, stays: Bools) -> npt.NDArray[np.int64]:
    """Return for each row that stays the first such row with the same vector."""
    twin = read_columns(old.path("items"), ["twin"])["twin"].to_numpy()[stays]
    _, first, group = np.unique(twin, return_index=True, return_inverse=True)
    return np.asarray(first[group], dtype=np.int64)
