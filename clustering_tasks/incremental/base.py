"""The base of a run: the newest published run that is earlier, if it can be continued.

What a run takes over from its base is in the artefacts of `snapshot`, `plan`, `cluster` and
`merge`. Their keys are in the key of the run's `plan`, and so in those of all steps after it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from upath import UPath

from clustering_tasks.algorithms.method import Method
from clustering_tasks.errors import BadInputError, Stage4Error
from clustering_tasks.identity.published import find_base
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.dotted import dotted
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.workspace.array_files import check_arrays
from clustering_tasks.workspace.artefacts import (
    Result,
    Run,
    find_artefact,
    load_run,
    part_name,
)
from clustering_tasks.workspace.columns import read_through
from clustering_tasks.workspace.damage import refusing_damage
from clustering_tasks.workspace.source_version import source_version, step_version
from clustering_tasks.workspace.storage import read_json, recorded_time, to_json
from clustering_tasks.workspace.vector_files import open_vectors

MODE_RECORD = "mode.json"  # in a run's folder
METHOD_RECORD = "method.json"
_ANEW = "all is clustered anew"
# Files of the steps that a run takes over from its base, and the columns of them.
_TAKEN_OVER = {
    "snapshot": ("items",),
    "plan": ("nodes", "node_keys", "cells", "features"),
    "cluster": ("graph",),
    "merge": ("assignments", "learned"),
}
_COLUMNS = {"items.parquet": ["vector_id", "vector_digest"]}


@dataclass(frozen=True)
class Base:
    """What a run takes over from the run before it.

    Attributes:
        job_id: of that run; None where the artefacts were found by their keys.
        snapshot, plan, merge: results of its steps.
        parts: its rows of the neighbour graph.
    """

    job_id: str | None
    snapshot: Result
    plan: Result
    parts: tuple[Result, ...]
    merge: Result

    @property
    def keys(self) -> dict[str, Any]:
        """Keys of the artefacts, for the keys of what is made of them."""
        return {
            "snapshot": self.snapshot.key,
            "plan": self.plan.key,
            "parts": [part.key for part in self.parts],
            "merge": self.merge.key,
        }

    def save(self, path: UPath) -> None:
        """Write the keys, so that the steps after `plan` find the artefacts."""
        path.write_bytes(to_json(self.keys))


def load_base(run: Run, plan: Result) -> Base | None:
    """Find the base that `plan` took over from; None where it made all anew.

    Raises:
        BadInputError: when an artefact of the base is gone.
    """
    if "base" not in plan.files:
        return None
    keys = read_json(plan.path("base"))

    def found(step: str, key: str) -> Result:
        result = find_artefact(run, step, key)
        if result is None:
            raise BadInputError(
                f"{step}/{key} of the base of run {run.job_id} is gone from {run.workspace}: "
                "clear `plan` with its downstream tasks; the run then clusters all anew"
            )
        return result

    return Base(
        job_id=None,
        snapshot=found("snapshot", keys["snapshot"]),
        plan=found("plan", keys["plan"]),
        parts=tuple(found("cluster", key) for key in keys["parts"]),
        merge=found("merge", keys["merge"]),
    )


def previous_run(run: Run) -> dict[str, str] | None:
    """Return `job_id` and `as_of` of the run whose published ids a run goes on from, None without.

    So the clusters continue the same run as their ids, and a run that is performed again,
    published or not, continues the same one.

    Raises:
        BadInputError: a published registry is gone or damaged.
    """
    base = find_base(run.workspace, run.level.name, run.job_id, run.as_of)
    return None if base is None else {"job_id": base.job_id, "as_of": base.as_of.isoformat()}


def versions(algorithm: str) -> dict[str, str]:
    """Versions of the code that shapes what a later run takes over."""
    steps = {step: step_version(step) for step in ("plan", "cluster", "merge")}
    return steps | {algorithm: source_version(f"algorithms.{algorithm}")}


def usable_base(run: Run, job_id: str, method: Method) -> Base | str:
    """Return the base, or the reason why the run cannot take over anything from it.

    Everything that is taken over is read once here, because later steps cannot turn back: what
    cannot be read is as if it were gone.

    Args:
        run: with its snapshot.
        job_id: of the run before it.
        method: of the run.
    """
    folder = run.workspace / run.level.name / "runs" / job_id
    try:
        with refusing_damage(folder, _ANEW):
            return _usable(run, job_id, folder, method)
    except BadInputError as error:
        return f"run {job_id} cannot be continued: {error}"


def _usable(run: Run, job_id: str, folder: UPath, method: Method) -> Base | str:
    record, was = _json(folder / MODE_RECORD), _json(folder / METHOD_RECORD)
    if record is None or was is None:
        return f"run {job_id} has left no record of how it was made"
    if record["versions"] != versions(method.algorithm):
        return f"run {job_id} was made by another version of the code or another algorithm"
    try:
        with refusing_damage(folder / "run.json", _ANEW):
            before = load_run(run.workspace, run.level, job_id)
    except Stage4Error as error:
        return f"run {job_id} cannot be read: {error}"
    if changed := _changed(before.settings, was, run.settings, method):
        return f"run {job_id} had other settings: {', '.join(changed)}"
    recorded_time((record["full"] or record)["as_of"])
    return _artefacts(run, before)


def _changed(
    before: RunSettings, was: Mapping[str, Any], now: RunSettings, method: Method
) -> list[str]:
    one = _shape(before, was)
    other = _shape(now, method.record())
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _shape(settings: RunSettings, method: Mapping[str, Any]) -> dict[str, Any]:
    """Return what shapes the graph and the clusters, by dotted name; not what is filtered."""
    read = settings.model_dump(
        mode="json",
        include={"scope", "temporal", "merge", "neighbours", "evidence", "input"}
        | {method["algorithm"]} & ALGORITHMS.keys(),
    )
    names = dict(dotted(read))
    for name in ("neighbours.device", "input.copy_attempts", "input.copy_wait_seconds"):
        names.pop(name)
    return names | {name: value for name, value in method.items() if name != "reason"}


def _artefacts(run: Run, before: Run) -> Base | str:
    results = {name: _recorded(before, name) for name in ("snapshot", "plan", "merge")}
    snapshot, plan, merge = results.values()
    if snapshot is None or plan is None or merge is None:
        return f"run {before.job_id} is not complete"
    parts = [_recorded(before, part_name(part.part)) for part in plan.parts or []]
    gone = sorted({name for name, there in _files(snapshot, plan, merge, parts) if not there})
    if gone:
        return f"artefacts of run {before.job_id} are gone: {', '.join(gone)}"
    if (before.find_result("context") is None) != (run.find_result("context") is None):
        return f"run {before.job_id} differs in whether there is a context"
    if snapshot.metrics["dimension"] != run.result("snapshot").metrics["dimension"]:
        return f"run {before.job_id} had vectors of another dimension"
    for result in (snapshot, plan, merge, *parts):
        if result is not None and not _whole(run, result):
            return f"artefacts of run {before.job_id} are gone: {result.step}"
    return Base(before.job_id, snapshot, plan, tuple(part for part in parts if part), merge)


def _recorded(before: Run, name: str) -> Result | None:
    with refusing_damage(before.folder / f"{name}.json", _ANEW):
        return before.find_result(name)


def _whole(run: Run, result: Result) -> bool:
    """Read what a run takes over from an artefact of its base; False where that is gone.

    Raises:
        BadInputError: it is damaged.
    """
    with refusing_damage(UPath(result.uri) / "result.json", _ANEW):
        if find_artefact(run, result.step, result.key) is None:
            return False
    for file in _taken_over(result):
        path = result.path(file)
        with refusing_damage(path, _ANEW):
            _read(path)
    return True


def _taken_over(result: Result) -> tuple[str, ...]:
    """Name the files that are taken over; `merge` leaves a graph where it has mended one."""
    mended = result.step == "merge" and "graph" in result.files
    return _TAKEN_OVER[result.step] + ("graph",) * mended


def _read(path: UPath) -> None:
    if path.suffix == ".npz":
        check_arrays(path)
    elif path.suffix == ".npy":  # as large as the vectors: only whether it is cut short
        with open_vectors(path) as vectors:
            vectors.read(max(vectors.shape[0] - 1, 0), vectors.shape[0])
    else:
        read_through(path, _COLUMNS.get(path.name))


def _files(
    snapshot: Result, plan: Result, merge: Result, parts: list[Result | None]
) -> Iterator[tuple[str, bool]]:
    for name, result in (("snapshot", snapshot), ("plan", plan), ("merge", merge)):
        for file in _taken_over(result):
            yield name, file in result.files and result.path(file).exists()
    for part in parts:
        fits = part is not None and part.metrics["plan"] == plan.key
        yield "cluster", fits and part is not None and part.path("graph").exists()


def _json(path: UPath) -> dict[str, Any] | None:
    try:
        found = read_json(path)
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None
