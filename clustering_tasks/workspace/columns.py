"""Columns of Parquet files, and their schemas."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath


def read_columns(path: UPath, names: Iterable[str]) -> dict[str, pa.Array]:
    """Read columns of a Parquet file, one by one: all at once takes twice the memory."""
    with path.open("rb") as file:
        parquet = pq.ParquetFile(file)
        return {name: parquet.read([name])[name].combine_chunks() for name in names}


def read_through(path: UPath, names: Iterable[str] | None = None) -> None:
    """Read columns of a Parquet file to its end, so that damage is found before they are needed.

    Args:
        path: of the file.
        names: of the columns; None: all.
    """
    with path.open("rb") as file:
        for _ in pq.ParquetFile(file).iter_batches(columns=None if names is None else [*names]):
            pass


def text_schema(names: Iterable[str], others: Mapping[str, pa.DataType]) -> pa.Schema:
    """Make a schema of these columns, in this order: strings, unless `others` has their type."""
    return pa.schema([(name, others.get(name, pa.string())) for name in names])
