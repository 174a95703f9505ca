"""New artefacts of a complete run, without the deleted documents."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import Mask
from clustering_tasks.deleted_documents.mentions import redacting
from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.stage3.dates import plausible_dates
from clustering_tasks.steps import STEPS, Step
from clustering_tasks.steps.redact.clusterings import cut_clustering
from clustering_tasks.steps.redact.identities import cut_identities
from clustering_tasks.steps.redact.records import COMPLETE, NEW, REPLACED, replace_records
from clustering_tasks.steps.redact.snapshots import cut_snapshot
from clustering_tasks.workspace.artefacts import Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import to_json, write_atomically


def can_be_cut(records: dict[str, Result]) -> bool:
    """Whether a run is complete, and what it was made of is still there."""
    needed: dict[str, tuple[str, ...]] = {
        "snapshot": ("items", "vectors"),
        "plan": (),
        "merge": ("assignments",),
        "label": (),
    }
    if "identify" in records:  # a version without lasting ids has none
        needed["identify"] = ("ids", "identities", "items", "record", "lineage")
    return all(
        name in records and all(records[name].path(file).exists() for file in files)
        for name, files in needed.items()
    )


def rewrite(run: Run, records: dict[str, Result], deleted: Tombstones) -> list[Result]:
    """Make what replaces the run's artefacts, then replace its records of them."""
    made = _cut(run, records, deleted)
    for step in STEPS:
        # a version without tags has no `tag`, which `label` reads
        if step.erased_by == "redo" and (step.name in records or not step.optional):
            made[step.name] = _redo(run, step, made, deleted)
    write_atomically(run.folder / f"{COMPLETE}.json", to_json({"replaces": list(REPLACED)}))
    replace_records(run.folder)
    return list(made.values())


def _redo(run: Run, step: Step, made: Mapping[str, Result], deleted: Tombstones) -> Result:
    """Write a step's artefact again, from the new artefacts of the steps that it reads."""
    inputs = [made[name] for name in step.reads]
    extra = [run.job_id, run.as_of, deleted.digest]
    key = artefact_key(step.name, inputs, run.settings.model_dump(mode="json"), extra)
    write = step.load("write")
    return perform(
        run, step.name, key, lambda attempt: write(run, *inputs, attempt), f"{NEW}{step.name}"
    )


def _cut(run: Run, records: dict[str, Result], deleted: Tombstones) -> dict[str, Result]:
    old, clustering, hashes = records["snapshot"], records["merge"], [deleted.digest]
    stays = _stays(old, deleted)
    snapshot = perform(
        run,
        "snapshot",
        artefact_key("snapshot", [old], {}, hashes),
        lambda attempt: cut_snapshot(
            old, stays, run.level, plausible_dates(run.as_of), redacting(deleted), attempt
        ),
        f"{NEW}snapshot",
    )
    merge = perform(
        run,
        "merge",
        artefact_key("merge", [snapshot, clustering], {}, hashes),
        lambda attempt: cut_clustering(run, snapshot, clustering, stays, attempt),
        f"{NEW}merge",
    )
    identify = perform(
        run,
        "identify",
        artefact_key("identify", [snapshot, merge, *_present(records, "identify")], {}, hashes),
        lambda attempt: cut_identities(run, records, snapshot, merge, deleted, attempt),
        f"{NEW}identify",
    )
    return {"snapshot": snapshot, "merge": merge, "identify": identify}


def _present(records: Mapping[str, Result], name: str) -> list[Result]:
    return [records[name]] if name in records else []


def _stays(snapshot: Result, deleted: Tombstones) -> Mask:
    """Which rows stay: (n,)."""
    documents = read_columns(snapshot.path("items"), ["document_id"])["document_id"]
    gone = pa.array(sorted(deleted.among(documents.unique().to_pylist())), pa.string())
    return np.asarray(~pc.is_in(documents, gone).to_numpy(zero_copy_only=False))
