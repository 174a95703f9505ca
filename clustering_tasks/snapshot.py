"""Step `snapshot`: an immutable, content-addressed copy of one level of Stage 3's folder.

`vectors.npy` and `items.parquet` hold the rows sorted by vector id, so that nothing later depends
on the input's order. Whatever is wrong with the input is found here, before any work is done on it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.artefacts import (
    Attempt,
    Metric,
    Result,
    Run,
    artefact_key,
    find_artefact,
    perform,
)
from clustering_tasks.errors import BadInputError
from clustering_tasks.levels import LEVELS, Level
from clustering_tasks.settings import InputSettings
from clustering_tasks.stage3.copy import Copy, copied_pair, has_pair
from clustering_tasks.stage3.examples import examples
from clustering_tasks.stage3.index import FlatIndex, open_index
from clustering_tasks.stage3.items import item_table
from clustering_tasks.stage3.metadata import entries, positions, refuse_other_formats
from clustering_tasks.storage import is_local
from clustering_tasks.vectors import Matrix, write_vectors

_BLOCK_ROWS = 8192


def snapshot(run: Run, stage3_count: int | None = None) -> Result:
    """Copy, check and sort one level, and the level that is its context where the folder has it.

    The context is recorded as the run's result `context`; its artefact is that level's own, shared
    with that level's runs.

    Args:
        run: a run that has been started.
        stage3_count: how many vectors Stage 3's statistics report, where it was asked.

    Raises:
        BadInputError: when the input breaks the contract (IN-1 to IN-5).
        TransientError: when the folder kept changing while it was copied (IN-6).
    """
    context = LEVELS[run.level.context]
    if run.settings.evidence.context and has_pair(UPath(run.indices), context):
        _snapshot(run, context, "context", None)
    else:
        run.forget("context")
    # The last: the step's result is there only when all of it has succeeded.
    return _snapshot(run, run.level, "snapshot", stage3_count)


def _snapshot(run: Run, level: Level, name: str, stage3_count: int | None) -> Result:
    settings = run.settings.input
    scratch = Path(run.folder.path) if is_local(run.folder) else None
    with copied_pair(UPath(run.indices), level, scratch, settings) as copy:
        read = settings.model_dump(include={"dimension", "norm_tolerance"})
        key = artefact_key("snapshot", [], read, [level.name, *copy.digests])
        if (known := find_artefact(run, "snapshot", key, level)) is not None:
            _check_count(level, known.metrics["items"], stage3_count)
        return perform(
            run,
            "snapshot",
            key,
            lambda attempt: _convert(level, settings, copy, stage3_count, attempt),
            name,
            level,
        )


def _check_count(level: Level, items: Metric, stage3_count: int | None) -> None:
    if stage3_count is not None and stage3_count != items:
        raise BadInputError(
            f"{level.name}.index holds {items} vectors, Stage 3's /statistics reports "
            f"{stage3_count}: the folder is not the one that Stage 3 serves, or not up to date. "
            f"Set STAGE4_INDICES, or let Stage 3 write the pair again"
        )


def _convert(
    level: Level, settings: InputSettings, copy: Copy, stage3_count: int | None, attempt: Attempt
) -> None:
    refuse_other_formats(copy.metadata)
    index = open_index(copy.index, settings.dimension)
    _check_count(level, len(index.ids), stage3_count)
    items, odd = item_table(entries(copy.metadata, level), level)
    vector_ids = items.column("vector_id").to_pylist()
    position = positions(copy.metadata, vector_ids, index.ids, copy.index.name)
    # Code points, not a locale's order: the same on every machine.
    order = np.array(sorted(range(len(vector_ids)), key=vector_ids.__getitem__), dtype=np.int64)
    rows = _SortedRows(index, position[order], [vector_ids[row] for row in order])
    blocks = rows.normalised(copy.index.name, settings)
    write_vectors(attempt.new_file("vectors", "vectors.npy"), index.vectors.shape, blocks)
    _write_items(attempt.new_file("items", "items.parquet"), items, order, _twins(rows.digests))
    attempt.metrics = {
        "items": len(items),
        "dimension": int(index.vectors.shape[1]),
        "identical_vectors": len(rows.digests) - len(set(rows.digests)),
        "copies": copy.attempts,
        **{name: odd[name] for name in _ODDITIES},
    }


_ODDITIES = ("undated", "unparsable_dates", "unknown_domains", "without_document")


class _SortedRows:
    """The index's vectors in the order of the snapshot; digests are there once they were read."""

    def __init__(
        self, index: FlatIndex, position: npt.NDArray[np.int64], vector_ids: list[str]
    ) -> None:
        self._index = index
        self._position = position
        self._vector_ids = vector_ids
        self.digests: list[bytes] = []

    def normalised(self, file_name: str, settings: InputSettings) -> Iterator[Matrix]:
        """Yield blocks of unit vectors, checked (IN-2); raise when all were read and some failed.

        Norms within the tolerance are made exact, so that a dot product is a cosine.
        """
        wrong: list[str] = []
        for start in range(0, len(self._position), _BLOCK_ROWS):
            block = self._index.vectors[self._position[start : start + _BLOCK_ROWS]]
            norms = np.linalg.norm(block.astype(np.float64), axis=1)
            # NaN compares false, so it is caught as well.
            bad = np.flatnonzero(~(np.abs(norms - 1) <= settings.norm_tolerance))
            wrong += [f"{self._vector_ids[start + row]} (norm {norms[row]:.6g})" for row in bad]
            if not wrong:
                # 0.0 turns -0.0 into 0.0: equal vectors get equal bytes.
                unit = (block / norms[:, None] + 0.0).astype(np.float32)
                self.digests += [hashlib.blake2b(row, digest_size=16).digest() for row in unit]
                yield unit
        if wrong:
            raise BadInputError(
                f"{file_name}: vectors that are not L2-normalised (norm 1 within "
                f"input.norm_tolerance={settings.norm_tolerance:g}; nan means NaN or infinite "
                f"values): {examples(wrong)}. Let Stage 3 normalise them"
            )


def _twins(digests: list[bytes]) -> pa.Array:
    """Return for each row the first row with the same vector: (n,) int64."""
    first: dict[bytes, int] = {}
    rows = [first.setdefault(digest, row) for row, digest in enumerate(digests)]
    return pa.array(rows, type=pa.int64())


def _write_items(
    path: UPath, items: pa.Table, order: npt.NDArray[np.int64], twins: pa.Array
) -> None:
    """Write the items in `order`, with the column `twin`, a block at a time."""
    schema = items.schema.append(pa.field("twin", pa.int64(), nullable=False))
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        for start in range(0, max(len(order), 1), _BLOCK_ROWS):
            block = items.take(order[start : start + _BLOCK_ROWS])
            columns = [*block.columns, twins[start : start + _BLOCK_ROWS]]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
