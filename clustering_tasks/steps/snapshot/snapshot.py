"""Step `snapshot`: an immutable, content-addressed copy of one level of Stage 3's folder.

`vectors.npy` and `items.parquet` hold the rows sorted by vector id, so that nothing later depends
on the input's order. Whatever is wrong with the input is found here, before any work is done on it.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetWriter
from upath import UPath

from clustering_tasks.arrays import F64, I64
from clustering_tasks.deleted_documents.mentions import redacting
from clustering_tasks.deleted_documents.tombstones import NONE_DELETED, Tombstones
from clustering_tasks.engine.garbage import seldom_collected
from clustering_tasks.engine.threads import in_turn
from clustering_tasks.engine.unit_rows import Digests, checked, unit_rows
from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.groups.source import InputSettings
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.stage3.copy import Copy, copied_pair, has_pair
from clustering_tasks.stage3.dates import PlausibleDates, plausible_dates
from clustering_tasks.stage3.examples import examples
from clustering_tasks.stage3.fields import fields_of
from clustering_tasks.stage3.index import FlatIndex, open_index
from clustering_tasks.stage3.index_header import promised_vectors
from clustering_tasks.stage3.items import (
    HALF_CHARACTERS,
    LONG_VALUES,
    SCHEMA,
    Entry,
    document_id,
    item_batch,
    source_id,
)
from clustering_tasks.stage3.metadata import (
    Metadata,
    positions,
    read_entries,
    read_metadata,
    refuse_other_formats,
)
from clustering_tasks.stage3.oddities import Oddities, example_of, unread
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Metric,
    Result,
    Run,
    artefact_key,
    find_artefact,
    perform,
)
from clustering_tasks.workspace.columns import binary_digests, read_columns
from clustering_tasks.workspace.resources import check_count
from clustering_tasks.workspace.storage import is_local
from clustering_tasks.workspace.vector_files import BLOCK_ROWS, write_vectors

# At a time: their objects, a megabyte, are still in the processor's cache for the next column. Of
# 2,048 items the rows took half as long again.
_ITEMS = 128
_WRITTEN_ITEMS = 2048  # a row group of the file
_SCHEMA = SCHEMA.append(pa.field("first_identical_row", pa.int64(), nullable=False)).append(
    pa.field("vector_digest", pa.binary(16), nullable=False)
)
# Columns in which values recur; looking for repetition in the others is most of the writing.
_REPEATED = [
    *("document_id", "domain", "event_type", "entity_type", "sentence"),
    "primary_entities.list.element",
]


def snapshot(
    run: Run, stage3_count: int | None = None, deleted: Tombstones = NONE_DELETED
) -> Result:
    """Copy, check and sort one level, and the level that is its context where the folder has it.

    The context is recorded as the run's result `context`; its artefact is that level's own, shared
    with that level's runs.

    Args:
        run: a run that has been started.
        stage3_count: how many vectors Stage 3's statistics report, where it was asked.
        deleted: documents whose items are left out, those of the context too.

    Raises:
        BadInputError: when the input breaks the contract (IN-1 to IN-5).
        ResourcesError: when the level has more items than the installation takes.
        TransientError: when the folder kept changing while it was copied (IN-6).
    """
    _refuse_missing_export(run)
    context = LEVELS[run.level.context]
    if run.settings.evidence.context and has_pair(UPath(run.indices), context):
        _snapshot(run, context, "context", None, deleted)
    else:
        run.discard("context")
    # The last: the step's result is there only when all of it has succeeded.
    return _snapshot(run, run.level, "snapshot", stage3_count, deleted)


def _refuse_missing_export(run: Run) -> None:
    if run.settings.input.source == "postgres" and not UPath(run.indices).is_dir():
        raise BadInputError(
            f"the export of table {run.settings.input.table} is gone: it is removed as soon as it "
            "has been read. Clear `check_stage3` with its downstream tasks, which reads the table "
            "again"
        )


def _snapshot(
    run: Run, level: Level, name: str, stage3_count: int | None, deleted: Tombstones
) -> Result:
    settings = run.settings.input
    scratch = Path(run.folder.path) if is_local(run.folder) else None
    with copied_pair(UPath(run.indices), level, scratch, settings) as copy:
        if level == run.level:
            _check_limit(level, copy.index)
        read = settings.model_dump(include={"dimension", "norm_tolerance"})
        plausible = plausible_dates(run.as_of)
        extra = [level.name, *copy.digests, *([deleted.digest] if deleted.hashes else [])]
        extra += [plausible.first.isoformat(), plausible.last.isoformat()]
        key = artefact_key("snapshot", [], read, extra)
        if (known := find_artefact(run, "snapshot", key, level)) is not None:
            items = int(known.metrics["items"] or 0) + int(known.metrics["deleted"] or 0)
            _check_count(level, items, stage3_count)
        return perform(
            run,
            "snapshot",
            key,
            lambda attempt: _convert(
                level, settings, copy, stage3_count, deleted, plausible, attempt
            ),
            name,
            level,
            copy.targets,  # of this run: the artefact of equal files is shared
        )


def _check_limit(level: Level, index: Path) -> None:
    with index.open("rb") as file:
        check_count(promised_vectors(file), level.name)


def _check_count(level: Level, items: Metric, stage3_count: int | None) -> None:
    if stage3_count is not None and stage3_count != items:
        raise BadInputError(
            f"{level.name}.index holds {items} vectors, Stage 3's /statistics reports "
            f"{stage3_count}: the folder is not the one that Stage 3 serves, or not up to date. "
            f"Set STAGE4_INDICES, or let Stage 3 write the pair again"
        )


def _convert(
    level: Level,
    settings: InputSettings,
    copy: Copy,
    stage3_count: int | None,
    deleted: Tombstones,
    plausible: PlausibleDates,
    attempt: Attempt,
) -> None:
    refuse_other_formats(copy.metadata)
    index = open_index(copy.index, settings.dimension)
    _check_count(level, len(index.ids), stage3_count)
    # Beside the interpreter, which is busy with metadata all the time.
    with seldom_collected(), ThreadPoolExecutor(1) as beside:
        checking = beside.submit(_check, index)
        metadata = read_metadata(copy.metadata, level)
        position = positions(metadata, index.ids, copy.index.name)
        # By the bytes of UTF-8, by code points and not by a locale: the same on every machine.
        order = pc.sort_indices(metadata.vector_ids).to_numpy().astype(np.int64)
        order = _without(deleted, order, metadata, level)
        rows = position[order]
        norms, digests = checking.result()
        _refuse_long(norms[rows], metadata.vector_ids.take(order), copy.index.name, settings)
        writing = beside.submit(
            _write_vectors, attempt.new_file("vectors", "vectors.npy"), index, rows
        )
        digests = digests[rows]
        entries = _redacted(deleted, read_entries(metadata, order, _ITEMS))
        items = attempt.new_file("items", "items.parquet")
        first_identical_row = _first_identical_rows(digests)
        odd = _write_items(items, entries, level, plausible, first_identical_row, digests)
        writing.result()
    attempt.metrics = {
        "items": len(order),
        "deleted": len(index.ids) - len(order),
        "dimension": index.dimension,
        "identical_vectors": int(
            (first_identical_row != np.arange(len(first_identical_row))).sum()
        ),
        "further_vectors": _further_vectors(items),
        "copies": copy.attempts,
        **{name: odd[name] for name in (*_ODDITIES, *map(unread, fields_of(level)))},
        **{example_of(name): example for name, example in odd.examples.items()},
    }


_ODDITIES = (
    *("undated", "unparsable_dates", "implausible_dates", "unknown_domains", "without_document"),
    *("untyped", HALF_CHARACTERS, LONG_VALUES),
)


def _without(deleted: Tombstones, order: I64, metadata: Metadata, level: Level) -> I64:
    """Leave out the items of deleted documents; reads all entries once more, if there are any."""
    if not deleted.hashes:
        return order
    documents = [
        document_id(entry["metadata"], source_id(entry), level)
        for some in read_entries(metadata, order, _ITEMS)
        for entry in some.values()
    ]
    gone = deleted.among(documents)
    kept: I64 = order[[document not in gone for document in documents]]
    return kept


def _redacted(
    deleted: Tombstones, entries: Iterator[dict[str, Entry]]
) -> Iterator[dict[str, Entry]]:
    """Take the ids of deleted documents, and of their items, out of what others say."""
    if not deleted.hashes:
        yield from entries
        return
    redact = redacting(deleted)
    for some in entries:
        yield {name: each | {"metadata": redact(each["metadata"])} for name, each in some.items()}


def _check(index: FlatIndex) -> tuple[F64, Digests]:
    """Measure all vectors in the order of the file; see `checked`."""
    blocks = (checked(index.take(rows)) for rows in _blocks(np.arange(len(index.ids))))
    norms, digests = zip((np.empty(0), np.empty((0, 2), np.uint64)), *blocks, strict=True)
    return np.concatenate(norms), np.concatenate(digests)


def _write_vectors(path: UPath, index: FlatIndex, rows: I64) -> None:
    """Write the vectors at some positions at length 1, so that a dot product is a cosine."""
    blocks = (unit_rows(index.take(some)) for some in _blocks(rows))
    write_vectors(path, (len(rows), index.dimension), blocks)


def _blocks(rows: I64) -> Iterator[I64]:
    return (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))


def _refuse_long(norms: F64, vector_ids: pa.Array, file_name: str, settings: InputSettings) -> None:
    """Check that vectors have length 1 (IN-2); NaN compares false, so it is caught."""
    bad = np.flatnonzero(~(np.abs(norms - 1) <= settings.norm_tolerance))
    if len(bad):
        wrong = [f"{vector_ids[row]} (norm {norms[row]:.6g})" for row in bad.tolist()]
        raise BadInputError(
            f"{file_name}: vectors that are not L2-normalised (norm 1 within "
            f"input.norm_tolerance={settings.norm_tolerance:g}; nan means NaN or infinite "
            f"values): {examples(wrong)}. Let Stage 3 normalise them"
        )


def _first_identical_rows(digests: Digests) -> I64:
    """Return for each row the first row with the same digest, (n, 2): (n,) int64."""
    one, other = digests.T
    order = np.lexsort((other, one))  # stable: the first of equals comes first
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(digests[order], axis=0) != 0).any(axis=1)
    twins = np.empty(len(order), dtype=np.int64)
    twins[order] = order[new][np.cumsum(new) - 1]
    return twins


def _further_vectors(items: UPath) -> int:
    """Count the vectors of items that have one already, as the chunks of a document do."""
    sources = read_columns(items, ["source_id"])["source_id"]
    return len(sources) - int(pc.count_distinct(sources).as_py())


def _write_items(
    path: UPath,
    entries: Iterable[dict[str, Entry]],
    level: Level,
    plausible: PlausibleDates,
    first_identical_row: I64,
    digests: Digests,
) -> Oddities:
    """Write the items and what is known of their vectors, some entries at a time; count oddities.

    Args:
        path: of the new file.
        entries: in the order of the rows.
        level: of the items.
        plausible: dates.
        first_identical_row: (n,) of the rows.
        digests: (n, 2) of their unit vectors.
    """
    odd = Oddities()

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for some in entries:
            rows = slice(start, start + len(some))
            columns = [
                *item_batch(some, level, odd, plausible).columns,
                pa.array(first_identical_row[rows]),
                binary_digests(digests[rows]),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)
            start += len(some)

    with (
        path.open("wb") as file,
        ParquetWriter(file, _SCHEMA, use_dictionary=_REPEATED) as writer,
        ThreadPoolExecutor(1) as beside,  # a sixth of the work, and none of the interpreter's
    ):
        for _ in in_turn(beside, writer.write_table, _row_groups(batches())):
            pass
    return odd


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    while some := list(islice(batches, _WRITTEN_ITEMS // _ITEMS)):
        yield pa.Table.from_batches(some).combine_chunks()
