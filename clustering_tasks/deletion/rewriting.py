"""New artefacts of a complete run, without the deleted documents."""

import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.artefacts import Result, Run, artefact_key, perform
from clustering_tasks.deletion.clusterings import cut_clustering
from clustering_tasks.deletion.records import COMPLETE, NEW, REPLACED, replace_records
from clustering_tasks.deletion.snapshots import cut_snapshot
from clustering_tasks.label import write_label
from clustering_tasks.labelling.members import read_columns
from clustering_tasks.map import write_map
from clustering_tasks.storage import to_json, write_atomically
from clustering_tasks.tombstones import Tombstones


def can_be_cut(records: dict[str, Result]) -> bool:
    """Whether a run is complete, and what it was made of is still there."""
    needed: dict[str, tuple[str, ...]] = {
        "snapshot": ("items", "vectors"),
        "plan": (),
        "merge": ("assignments",),
        "label": (),
    }
    return all(
        name in records and all(records[name].path(file).exists() for file in files)
        for name, files in needed.items()
    )


def rewrite(run: Run, records: dict[str, Result], deleted: Tombstones) -> list[Result]:
    """Make what replaces the run's artefacts, then replace its records of them."""
    old = records["snapshot"], records["merge"]
    documents = read_columns(old[0].path("items"), ["document_id"])["document_id"]
    gone = deleted.among(documents.unique().to_pylist())
    stays = ~pc.is_in(documents, pa.array(sorted(gone), pa.string())).to_numpy(zero_copy_only=False)
    hashes = [deleted.digest]
    snapshot = perform(
        run,
        "snapshot",
        artefact_key("snapshot", [old[0]], {}, hashes),
        lambda attempt: cut_snapshot(old[0], stays, attempt),
        f"{NEW}snapshot",
    )
    merge = perform(
        run,
        "merge",
        artefact_key("merge", [snapshot, old[1]], {}, hashes),
        lambda attempt: cut_clustering(run, snapshot, old[1], stays, attempt),
        f"{NEW}merge",
    )
    settings = run.settings.model_dump(mode="json")
    label = perform(
        run,
        "label",
        artefact_key("label", [snapshot, merge], settings, [run.job_id, run.as_of, *hashes]),
        lambda attempt: write_label(run, snapshot, merge, attempt),
        f"{NEW}label",
    )
    made = [snapshot, merge, label]
    if "map" in records:
        picture = perform(
            run,
            "map",
            artefact_key("map", [snapshot, merge, label], settings, hashes),
            lambda attempt: write_map(run, snapshot, merge, label, attempt),
            f"{NEW}map",
        )
        made.append(picture)
    write_atomically(run.folder / f"{COMPLETE}.json", to_json({"replaces": list(REPLACED)}))
    replace_records(run.folder)
    return made
