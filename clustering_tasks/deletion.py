"""Step `forget`: takes deleted documents out of a level's workspace.

A run that is complete gets new artefacts without them, made by the code of its steps: the snapshot
and the clustering are cut, quality and centroids measured again, `label` and `map` performed again.
Nothing is clustered anew: who stays, stays where it was. What cannot be made again is removed, and
so is everything that was made on the way from the old snapshot to the old clustering.

Safe to repeat after a crash at any point: a run's records are replaced only when all that replaces
them is there.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import structlog
from pydantic import ValidationError
from upath import UPath

from clustering_tasks.artefacts import (
    Attempt,
    Result,
    Run,
    artefact_key,
    artefact_name,
    load_run,
    perform,
)
from clustering_tasks.assignments import CODES, NOISE, write_clustering
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.label import write_label
from clustering_tasks.labelling.members import read_columns
from clustering_tasks.levels import LEVELS, Level
from clustering_tasks.map import write_map
from clustering_tasks.outliers import enter_similarity
from clustering_tasks.quality import measure_vectors
from clustering_tasks.storage import read_json, to_json, write_atomically
from clustering_tasks.tombstones import GONE_NAME, Tombstones
from clustering_tasks.vectors import open_vectors, write_vectors
from clustering_tasks.workspace import remove_leftovers

_REPLACED = ("snapshot", "merge", "label", "map")
_NEW = "new-"
_IDLE_SECONDS = 3600.0  # from then on an unfinished attempt, or a copy, is a killed one's
_COMPLETE = "new"  # the record that says that all `new-` ones are there
_SMALLEST = 2
_MADE_OF_SNAPSHOTS = ("plan", "cluster", "merge", "label", "map")

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]

log = structlog.get_logger()


@dataclass
class _Found:
    """What was done to a level's runs, and the artefacts that must go."""

    rewritten: int = 0
    given_up: int = 0
    doomed: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)


def forget(workspace: UPath, level: Level, job_id: str, deleted: Tombstones) -> Result:
    """Take deleted documents out of all runs and artefacts of a level.

    Args:
        workspace: that holds them.
        level: of the runs.
        job_id: of the run of this step, under which its result is recorded.
        deleted: the documents.

    Returns:
        a result without files; metrics: `runs_rewritten`, `runs_given_up` (what is left of them
        holds nothing; they begin again with `snapshot`), `artefacts_removed`.
    """
    started = time.perf_counter()
    found = _Found()
    for folder in _runs(workspace, level):
        _finish(folder)
        _forget_in_run(load_run(workspace, level, folder.name), deleted, found)
    removed = _remove_artefacts(workspace, level, deleted, found)
    remove_leftovers(workspace, level.name, _IDLE_SECONDS)
    folder = workspace / level.name / "runs" / job_id
    result = Result(
        step="forget",
        key=deleted.digest,
        uri=str(folder),
        files={},
        metrics={
            "runs_rewritten": found.rewritten,
            "runs_given_up": found.given_up,
            "artefacts_removed": removed,
        },
        seconds=time.perf_counter() - started,
    )
    write_atomically(folder / "forget.json", to_json(result.model_dump(mode="json")))
    return result


def _runs(workspace: UPath, level: Level) -> list[UPath]:
    folder = workspace / level.name / "runs"
    if not folder.exists():
        return []
    found = [path for path in folder.iterdir() if (path / "run.json").exists()]
    return sorted(found, key=lambda path: path.name)


def _forget_in_run(run: Run, deleted: Tombstones, found: _Found) -> None:
    named = deleted.among(run.settings.filter.document_ids or ())
    records = _records(run.folder)
    if not named and not _holds(records, deleted):
        return
    found.doomed |= {
        artefact_name(r.uri) for n, r in records.items() if n not in ("context", "forget")
    }
    run = _without_names(run, named)
    if _can_be_cut(records):
        found.kept |= {artefact_name(result.uri) for result in _rewrite(run, records, deleted)}
        found.rewritten += 1
        log.info("run rewritten", job_id=run.job_id)
        return
    for name in records:
        run.forget(name)
    found.given_up += 1
    log.info("run given up: it begins again with `snapshot`", job_id=run.job_id)


def _records(folder: UPath) -> dict[str, Result]:
    """What a run has recorded of its steps, by name."""
    found = {}
    for path in sorted(folder.glob("*.json"), key=str):
        try:
            found[path.stem] = Result.model_validate(read_json(path))
        except ValidationError:
            continue  # run.json
    return found


def _holds(records: dict[str, Result], deleted: Tombstones) -> bool:
    snapshot, label = records.get("snapshot"), records.get("label")
    return (snapshot is not None and _items_hold(snapshot.path("items"), deleted)) or (
        label is not None and _members_hold(label.path("members_csv"), deleted)
    )


def _items_hold(path: UPath, deleted: Tombstones) -> bool:
    if not path.exists():
        return False
    try:
        documents = read_columns(path, ["document_id"])["document_id"]
    except pa.ArrowInvalid:
        return False  # being written, without deleted documents; or a killed attempt's
    return bool(deleted.among(documents.unique().to_pylist()))


def _members_hold(path: UPath, deleted: Tombstones) -> bool:
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


def _can_be_cut(records: dict[str, Result]) -> bool:
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


def _without_names(run: Run, named: Iterable[str]) -> Run:
    """Take the ids of deleted documents out of a run's own settings."""
    gone = frozenset(named)
    if not gone:
        return run
    names = [GONE_NAME if name in gone else name for name in run.settings.filter.document_ids or ()]
    settings = run.settings.model_dump()
    settings["filter"]["document_ids"] = names
    run = replace(run, settings=type(run.settings).model_validate(settings))
    run.start()
    return run


def _rewrite(run: Run, records: dict[str, Result], deleted: Tombstones) -> list[Result]:
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
        lambda attempt: _cut_snapshot(old[0], stays, attempt),
        f"{_NEW}snapshot",
    )
    merge = perform(
        run,
        "merge",
        artefact_key("merge", [snapshot, old[1]], {}, hashes),
        lambda attempt: _cut_merge(run, snapshot, old[1], stays, attempt),
        f"{_NEW}merge",
    )
    settings = run.settings.model_dump(mode="json")
    label = perform(
        run,
        "label",
        artefact_key("label", [snapshot, merge], settings, [run.job_id, run.as_of, *hashes]),
        lambda attempt: write_label(run, snapshot, merge, attempt),
        f"{_NEW}label",
    )
    made = [snapshot, merge, label]
    if "map" in records:
        picture = perform(
            run,
            "map",
            artefact_key("map", [snapshot, merge, label], settings, hashes),
            lambda attempt: write_map(run, snapshot, merge, label, attempt),
            f"{_NEW}map",
        )
        made.append(picture)
    write_atomically(run.folder / f"{_COMPLETE}.json", to_json({"replaces": list(_REPLACED)}))
    _finish(run.folder)
    return made


def _finish(folder: UPath) -> None:
    """Let the new records of a run replace the old ones, if all of them are there."""
    complete = (folder / f"{_COMPLETE}.json").exists()
    for name in _REPLACED:
        new = folder / f"{_NEW}{name}.json"
        if complete and new.exists():
            write_atomically(folder / f"{name}.json", new.read_bytes())
    (folder / f"{_COMPLETE}.json").unlink(missing_ok=True)
    for name in _REPLACED:
        (folder / f"{_NEW}{name}.json").unlink(missing_ok=True)


def _cut_snapshot(old: Result, stays: Bools, attempt: Attempt) -> None:
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


def _cut_merge(run: Run, snapshot: Result, old: Result, stays: Bools, attempt: Attempt) -> None:
    """Write the clustering without some of its items.

    A cluster whose core has fewer than two members left is none any more; its members are noise.
    """
    with old.path("assignments").open("rb") as file:
        assigned = pd.read_parquet(file)[stays].reset_index(drop=True)
    labels, core = _codes(assigned)
    clusters, number = _numbers(labels, core)
    before = labels
    labels = np.where(labels >= 0, number[np.maximum(labels, -1)], labels)
    core = np.where(core >= 0, number[np.maximum(core, -1)], core)
    dissolved = (before >= 0) & (labels < 0)
    with open_vectors(snapshot.path("vectors")) as vectors:
        sums = cluster_sums(vectors.blocks(), core, clusters, vectors.shape[1])
        measured = measure_vectors(vectors, core, sums)
        enter_similarity(measured.similarity, vectors, core, labels, sums)
    alone = "individual" if run.settings.outliers.policy == "individual" else None
    assigned["cluster"] = pd.Series(labels, dtype="Int32").where(labels >= 0)
    assigned["similarity"] = measured.similarity
    assigned.loc[dissolved, "status"] = "noise"
    assigned.loc[dissolved, "assignment"] = alone
    assigned.loc[dissolved, "probability"] = 0.0
    write_clustering(attempt, assigned, sums)
    counts = assigned["status"].value_counts()
    attempt.metrics = old.metrics | {
        **{name: int(counts.get(name, 0)) for name in ("clustered", *CODES)},
        "read": len(assigned),
        "clusters": clusters,
        "raw_noise": int((core == NOISE).sum()),
        **measured.metrics,
    }


def _codes(assigned: pd.DataFrame) -> tuple[Codes, Codes]:
    """Return the clusters of the rows, and those of the core: negative codes for all others."""
    others = assigned["status"].map(CODES).fillna(NOISE)
    labels = assigned["cluster"].fillna(others.astype("Int32")).to_numpy(np.int32)
    in_core = (assigned["assignment"] == "core").fillna(value=False).to_numpy(bool)
    core = np.where(in_core | (labels < 0), labels, NOISE)
    return labels, core.astype(np.int32)


def _numbers(labels: Codes, core: Codes) -> tuple[int, Codes]:
    """Number the clusters that stay anew: their count, and the new number of each old one.

    Returns:
        the second: (c + 1,), NOISE for what is no cluster any more; so is the last.
    """
    sizes = np.bincount(core[core >= 0], minlength=int(labels.max(initial=-1)) + 1)
    stay = sizes >= _SMALLEST
    number = np.where(stay, np.cumsum(stay) - 1, NOISE)
    return int(stay.sum()), np.append(number, NOISE).astype(np.int32)


def _remove_artefacts(workspace: UPath, level: Level, deleted: Tombstones, found: _Found) -> int:
    """Remove what holds a deleted document, and what was made of it; returns how many."""
    present = {artefact_name(str(path)): path for path in _artefacts(workspace, level)}
    holding = {name for name, path in present.items() if _snapshot_holds(path, deleted)}
    doomed = found.doomed | holding
    if doomed:
        # What no run refers to may have been made of a snapshot that is gone by now.
        referred = {
            artefact_name(record.uri)
            for each in LEVELS.values()
            for folder in _runs(workspace, each)
            for record in _records(folder).values()
        }
        made = {name for name in present if name.split("/")[2] in _MADE_OF_SNAPSHOTS}
        doomed |= made - referred
    removed = sorted((doomed - found.kept) & present.keys())
    for name in removed:
        _remove(present[name])
    return len(removed)


def _artefacts(workspace: UPath, level: Level) -> Iterator[UPath]:
    root = workspace / level.name / "artefacts"
    for step in sorted(root.iterdir(), key=str) if root.exists() else []:
        yield from sorted((path for path in step.iterdir() if path.is_dir()), key=str)


def _snapshot_holds(artefact: UPath, deleted: Tombstones) -> bool:
    if artefact.parent.name != "snapshot":
        return False
    # Also of an artefact whose attempt is under way, which then has no result yet.
    return any(_items_hold(path, deleted) for path in artefact.glob("*/items.parquet"))


def _remove(folder: UPath) -> None:
    """Remove an artefact; first what says that it is complete."""
    (folder / "result.json").unlink(missing_ok=True)
    folder.fs.rm(folder.path, recursive=True)
