"""Columns of Parquet files, and their schemas."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath


def read_columns(path: UPath, names: Iterable[str]) -> dict[str, pa.Array]:
    """Read columns of a Parquet file, one by one: all at once takes twice the memory."""
    with path.open("rb") as file:
        parquet = pq.ParquetFile(file)
        return {name: parquet.read([name])[name].combine_chunks() for name in names}


def text_schema(names: Iterable[str], others: Mapping[str, pa.DataType]) -> pa.Schema:
    """Make a schema of these columns, in this order: strings, unless `others` has their type."""
    return pa.schema([(name, others.get(name, pa.string())) for name in names])


def binary_digests(digests: npt.NDArray[np.uint64]) -> pa.Array:
    """Make a column of digests, (n, 2) uint64: the same 16 bytes on every machine."""
    buffer = pa.py_buffer(np.ascontiguousarray(digests, dtype="<u8"))
    return pa.Array.from_buffers(pa.binary(16), len(digests), [None, buffer])


def digests_of(column: pa.Array) -> npt.NDArray[np.uint64]:
    """Read what `binary_digests` made: (n, 2)."""
    found = np.frombuffer(column.buffers()[1], "<u8")[2 * column.offset :][: 2 * len(column)]
    return found.reshape(len(column), 2).astype(np.uint64)
