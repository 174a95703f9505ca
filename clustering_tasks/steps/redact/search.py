"""Whether a run or an artefact holds a deleted document, or names one."""

from collections.abc import Iterable

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.deleted_documents.mentions import redacting
from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import read_json, to_json, write_atomically

_SEARCHED = "searched.json"


def run_holds(records: dict[str, Result], deleted: Tombstones) -> bool:
    """Tell whether a run's snapshot or its loaded files hold a deleted document."""
    snapshot, label = records.get("snapshot"), records.get("label")
    items = None if snapshot is None else snapshot.path("items")
    if items is not None and items_hold(items, deleted):
        return True
    if label is None:
        return False
    if members_hold(label.path("members_csv"), deleted):
        return True
    members = label.path("members_parquet")  # what they say is in the snapshot, too
    return (items is None or not items.exists()) and members.exists() and _name(members, deleted)


def items_hold(path: UPath, deleted: Tombstones) -> bool:
    """Tell whether an `items.parquet` holds items of a deleted document, or names one.

    A snapshot never changes, so that it holds nothing of these documents is noted beside it: of a
    million items it takes some ten seconds to find out.
    """
    searched = path.parent.parent / _SEARCHED
    if not path.exists() or _is_searched(searched, deleted):
        return False
    try:
        documents = read_columns(path, ["document_id"])["document_id"]
        found = bool(deleted.among(documents.unique().to_pylist())) or _name(path, deleted)
    except pa.ArrowInvalid:
        return False  # being written, without deleted documents; or a killed attempt's
    if not found:
        write_atomically(searched, to_json({"digest": deleted.digest}))
    return found


def _is_searched(path: UPath, deleted: Tombstones) -> bool:
    return path.exists() and read_json(path) == {"digest": deleted.digest}


def _name(path: UPath, deleted: Tombstones) -> bool:
    with path.open("rb") as file:
        batches = pq.ParquetFile(file).iter_batches(columns=["metadata"])
        return _say(batches, deleted)


def _say(batches: Iterable[pa.RecordBatch], deleted: Tombstones) -> bool:
    redact = redacting(deleted)
    for batch in batches:
        for text in batch.column(0).to_pylist():
            said = orjson.loads(text)
            if redact(said) is not said:
                return True
    return False


def members_hold(path: UPath, deleted: Tombstones) -> bool:
    """Tell whether a `members.csv` holds items of a deleted document."""
    if not path.exists():
        return False
    convert = pa_csv.ConvertOptions(
        include_columns=["document_id"], column_types={"document_id": pa.string()}
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    with (
        path.open("rb") as file,
        pa_csv.open_csv(file, parse_options=parse, convert_options=convert) as reader,
    ):
        return any(deleted.among(batch.column(0).unique().to_pylist()) for batch in reader)


def snapshot_holds(artefact: UPath, deleted: Tombstones) -> bool:
    """Tell whether an artefact is a snapshot with items of a deleted document, or names one."""
    if artefact.parent.name != "snapshot":
        return False
    # Also of an artefact whose attempt is under way, which then has no result yet.
    return any(items_hold(path, deleted) for path in artefact.glob("*/items.parquet"))
