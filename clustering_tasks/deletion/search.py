"""Whether a run or an artefact holds a deleted document."""

import pyarrow as pa
import pyarrow.csv as pa_csv
from upath import UPath

from clustering_tasks.artefacts import Result
from clustering_tasks.labelling.members import read_columns
from clustering_tasks.tombstones import Tombstones


def run_holds(records: dict[str, Result], deleted: Tombstones) -> bool:
    """Tell whether a run's snapshot or its loaded files hold a deleted document."""
    snapshot, label = records.get("snapshot"), records.get("label")
    return (snapshot is not None and items_hold(snapshot.path("items"), deleted)) or (
        label is not None and members_hold(label.path("members_csv"), deleted)
    )


def items_hold(path: UPath, deleted: Tombstones) -> bool:
    """Tell whether an `items.parquet` holds items of a deleted document."""
    if not path.exists():
        return False
    try:
        documents = read_columns(path, ["document_id"])["document_id"]
    except pa.ArrowInvalid:
        return False  # being written, without deleted documents; or a killed attempt's
    return bool(deleted.among(documents.unique().to_pylist()))


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
    """Tell whether an artefact is a snapshot with items of a deleted document."""
    if artefact.parent.name != "snapshot":
        return False
    # Also of an artefact whose attempt is under way, which then has no result yet.
    return any(items_hold(path, deleted) for path in artefact.glob("*/items.parquet"))
