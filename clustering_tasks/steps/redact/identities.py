"""Lasting ids without the items of deleted documents."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import I64
from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.identity.columns import IDS, LINEAGE
from clustering_tasks.identity.former_ids import former_id
from clustering_tasks.identity.published import LABELS, beside, registries
from clustering_tasks.identity.registry import (
    RegistryFiles,
    adopt,
    published_files,
    read_registry,
)
from clustering_tasks.steps.identify.identify import write_files
from clustering_tasks.workspace.artefacts import Attempt, Result, Run
from clustering_tasks.workspace.columns import read_columns


def cut_identities(
    run: Run,
    old: Mapping[str, Result],
    snapshot: Result,
    merge: Result,
    deleted: Tombstones,
    attempt: Attempt,
) -> None:
    """Write the ids of the clusters that are left: each keeps its own, whatever it has lost.

    Args:
        run: the run.
        old: its results of `snapshot`, `merge` and, but for a run by a version without lasting
            ids, `identify`.
        snapshot: the new one.
        merge: the new one.
        deleted: the documents.
        attempt: of the new artefact.
    """
    numbers = _former_numbers(old, snapshot, merge)
    if "identify" not in old:
        _write_adopted(run, old, snapshot, merge, numbers, attempt)
        return
    ids, lineage = (_read(old["identify"].path(name)) for name in ("ids", "lineage"))
    registry = read_registry(_files(old["identify"]))
    stay = ids.take(pa.array(numbers))
    dissolved = _without(ids["cluster_id"], stay["cluster_id"])
    registry = (registry.without(deleted.among) or registry).dissolve(dissolved)
    sizes = _sizes(merge, len(numbers))
    write_files(attempt, registry, stay, _lineage(lineage, stay["cluster_id"], sizes, dissolved))
    attempt.metrics = old["identify"].metrics


def redact_registries(workspace: UPath, level: str, deleted: Tombstones) -> int:
    """Take the items of deleted documents out of all registries; returns of how many."""
    artefacts = (workspace / level / "artefacts" / "identify").glob("*/*/identities.parquet")
    made = [
        RegistryFiles(path, path.with_name("items.parquet"), path.with_name("record.json"))
        for path in artefacts
    ]
    published = registries(workspace, level)
    cut = [path for path in published if _redact(published_files(path), deleted)]
    for path in cut:
        beside(path, LABELS).unlink(missing_ok=True)  # one may be the title of a deleted document
    return sum(_redact(files, deleted) for files in made) + len(cut)


def _read(path: UPath) -> pa.Table:
    with path.open("rb") as file:
        return pq.read_table(file)


def _files(identify: Result) -> RegistryFiles:
    return RegistryFiles(*(identify.path(name) for name in ("identities", "items", "record")))


def _redact(files: RegistryFiles, deleted: Tombstones) -> bool:
    if not files.record.exists():
        return False  # being written, without deleted documents; or a killed attempt's
    registry = read_registry(files, verify=False).without(deleted.among)
    if registry is not None:
        registry.write(files)
    return registry is not None


def _former_numbers(old: Mapping[str, Result], snapshot: Result, merge: Result) -> I64:
    """Return of each cluster that is left the number that it had."""
    names = [
        read_columns(one.path("items"), ["vector_id"])["vector_id"]
        for one in (old["snapshot"], snapshot)
    ]
    stays = pc.is_in(names[0], names[1]).to_numpy(zero_copy_only=False)
    before, after = (_clusters(one) for one in (old["merge"], merge))
    numbers = np.zeros(int(after.max(initial=-1)) + 1, dtype=np.int64)
    here = after >= 0
    numbers[after[here]] = before[stays][here]
    return numbers


def _clusters(merge: Result) -> I64:
    clusters = read_columns(merge.path("assignments"), ["cluster"])["cluster"]
    return np.asarray(clusters.fill_null(-1).to_numpy(), dtype=np.int64)


def _sizes(merge: Result, clusters: int) -> I64:
    found = _clusters(merge)
    return np.bincount(found[found >= 0], minlength=clusters)


def _write_adopted(
    run: Run,
    old: Mapping[str, Result],
    snapshot: Result,
    merge: Result,
    numbers: I64,
    attempt: Attempt,
) -> None:
    """Write the ids that an earlier version gave to the clusters, by the members of then."""
    ids = pa.array(_former_ids(run, old)).take(pa.array(numbers))
    clusters = pa.array(_clusters(merge))
    assigned = pc.if_else(pc.less(clusters, 0), None, clusters)
    members = pa.table(
        {
            **read_columns(snapshot.path("items"), ["vector_id", "document_id"]),
            "cluster_id": ids.take(assigned),
            **read_columns(merge.path("assignments"), ["status"]),
        }
    )
    n = len(ids)
    rows = {
        "cluster_id": ids,
        "previous_ids": [[]] * n,
        "change": ["born"] * n,
        "changed": [None] * n,
    }
    lineage = {
        "cluster_id": ids,
        "change": ["born"] * n,
        "size": _sizes(merge, n),
        "related": ["[]"] * n,
    }
    write_files(
        attempt,
        adopt(members, run.job_id, run.as_of),
        pa.table(rows, schema=IDS),
        pa.table(lineage, schema=LINEAGE).sort_by("cluster_id"),
    )


def _former_ids(run: Run, old: Mapping[str, Result]) -> list[str]:
    names = read_columns(old["snapshot"].path("items"), ["vector_id"])["vector_id"]
    clusters = _clusters(old["merge"])
    order = np.argsort(clusters, kind="stable")[int((clusters < 0).sum()) :]
    bounds = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    groups = np.split(order, bounds[1:])
    kind = run.level.cluster_type
    return [former_id(kind, names.take(pa.array(rows)).to_pylist()) for rows in groups if len(rows)]


def _without(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.Array:
    return ids.filter(pc.invert(pc.is_in(ids, others.combine_chunks()))).combine_chunks()


def _lineage(lineage: pa.Table, ids: pa.ChunkedArray, sizes: I64, dissolved: pa.Array) -> pa.Table:
    """Enter the sizes that clusters have now; what is none any more has ended."""
    at = pc.index_in(lineage["cluster_id"], ids.combine_chunks())
    size = pc.fill_null(pa.array(sizes).take(at.combine_chunks()), 0)
    gone = pc.is_in(lineage["cluster_id"], dissolved)
    columns = {
        "cluster_id": lineage["cluster_id"],
        "change": pc.if_else(gone, "ended", lineage["change"]),
        "size": size,
        "related": lineage["related"],
    }
    return pa.table(columns).cast(LINEAGE)
