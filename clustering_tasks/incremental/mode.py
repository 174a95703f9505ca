"""Whether a run continues its base or clusters all anew, and why.

`plan` decides once and records it with the run; `label` reports it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow.compute as pc
import structlog

from clustering_tasks.algorithms.method import Method
from clustering_tasks.errors import BadInputError
from clustering_tasks.incremental.base import (
    MODE_RECORD,
    Base,
    previous_run,
    usable_base,
    versions,
)
from clustering_tasks.incremental.undone import undone_links
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.workspace.artefacts import Metric, Result, Run
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import read_json, recorded_time, to_json, write_atomically

# Measures of quality whose fall ends a series of incremental runs.
_WATCHED = ("silhouette", "modularity")

log = structlog.get_logger()


@dataclass(frozen=True)
class Mode:
    """How a run is made.

    Attributes:
        asked: the setting `mode`.
        taken: what is done.
        reason: why, for the report.
        base: that the run continues; None in a full run.
        record: of the run before it and of the last full one, for the runs after it.
    """

    asked: str
    taken: Literal["full", "incremental"]
    reason: str
    base: Base | None
    record: Mapping[str, Any]


def resolve_mode(run: Run, method: Method) -> Mode:
    """Decide how a run is made; the same each time that the run is performed.

    Args:
        run: with its snapshot.
        method: of the run.
    """
    known = _recorded(run)
    previous = known["previous"] if known else previous_run(run)
    found = _base(run, previous["job_id"] if previous else None, method)
    asked = run.settings.mode
    record = {"asked": asked, "as_of": run.as_of, "previous": previous, "full": None}
    record["versions"] = versions(method.algorithm)
    if isinstance(found, str):
        return Mode(asked, "full", found, None, record)
    full = _last_full(run, found)
    reason = known["reason"] if known else _limit(run, found, full)
    if known["taken"] == "full" if known else reason is not None:
        return Mode(asked, "full", str(reason), None, record)
    reason = f"continues run {found.job_id}"
    return Mode(asked, "incremental", reason, found, record | {"full": full})


def record_mode(run: Run, mode: Mode) -> None:
    """Write the mode into the run's folder, for the report and for later runs."""
    record = {**mode.record, "taken": mode.taken, "reason": mode.reason}
    write_atomically(run.folder / MODE_RECORD, to_json(record))
    log.info("mode resolved", mode=mode.taken, reason=mode.reason)


def recorded_mode(run: Run) -> dict[str, Any]:
    """Read what `record_mode` wrote; empty for a run of an earlier version."""
    path = run.folder / MODE_RECORD
    return dict(read_json(path)) if path.exists() else {}


def _recorded(run: Run) -> dict[str, Any] | None:
    """Return the record of an earlier performance of the same run, if it had a base."""
    record = recorded_mode(run)
    if not record or not record.get("previous") or record["asked"] != run.settings.mode:
        return None
    same = recorded_time(record["as_of"]) == run.as_of
    return record if same and record["asked"] != "full" else None


def _base(run: Run, job_id: str | None, method: Method) -> Base | str:
    """Return the base of a run, or the reason why it has none."""
    if run.settings.mode == "full":
        return "asked for"
    if refused := _without_base(run, method):
        return refused
    if job_id is None:
        return "no earlier run is published"
    found = usable_base(run, job_id, method)
    if isinstance(found, str):
        return found
    try:
        undone = undone_links(run, job_id)
    except BadInputError as error:
        return f"run {job_id} cannot be continued: {error}"
    if undone:
        return f"corrections of run {job_id} were undone or erased since: {undone}"
    return found


def _without_base(run: Run, method: Method) -> str | None:
    """Return why no run with these settings can continue another, None where it can."""
    settings = run.settings
    if settings.scope == "domain":
        return "scope=domain clusters each domain anew"
    if method.algorithm == "kmeans":
        return "kmeans divides all items into a number of clusters: new ones change them all"
    if method.algorithm == "agglomerative":
        return _moving_cut(settings, run.level.blocked_by)
    return None


def _moving_cut(settings: RunSettings, blocked_by: str | None) -> str | None:
    own = settings.agglomerative
    if own.clusters is not None:
        return "agglomerative.clusters divides all items into a number of clusters"
    if blocked_by and own.least_similarity is None:
        return f"each {blocked_by} has a cut of its own"
    return None


def _last_full(run: Run, base: Base) -> dict[str, Any]:
    """Describe the last full run up to the base."""
    folder = run.workspace / run.level.name / "runs" / str(base.job_id)
    record = read_json(folder / MODE_RECORD)
    if record["full"] is not None:
        return dict(record["full"])
    measured = {name: base.merge.metrics[name] for name in _WATCHED}
    return {"job_id": base.job_id, "as_of": record["as_of"], **measured}


def _limit(run: Run, base: Base, full: Mapping[str, Any]) -> str | None:
    """Return which limit of `auto` is passed, None where none is."""
    if run.settings.mode != "auto":
        return None
    limits = run.settings.incremental
    age = (run.as_of - recorded_time(full["as_of"])).total_seconds() / 86_400
    if age > limits.max_age_days:
        return (
            f"the last full run is {age:.1f} days old, "
            f"incremental.max_age_days={limits.max_age_days:g}"
        )
    share = _new_share(run.result("snapshot"), base)
    if share > limits.max_new_share:
        return (
            f"{share:.3g} of the items are new since the last full run, "
            f"incremental.max_new_share={limits.max_new_share:g}"
        )
    return _drift(base, full, limits.max_quality_drop)


def _new_share(snapshot: Result, base: Base) -> float:
    """Share of the items that came since the last full run, those of this run among them."""
    now, then = (
        read_columns(result.path("items"), ["vector_id"])["vector_id"]
        for result in (snapshot, base.snapshot)
    )
    new = len(now) - int(pc.sum(pc.is_in(now, then)).as_py() or 0)
    return (int(base.merge.metrics["new_since_full"] or 0) + new) / max(len(now), 1)


def _drift(base: Base, full: Mapping[str, Any], most: float) -> str | None:
    for name in _WATCHED:
        was: Metric = full[name]
        now = base.merge.metrics[name]
        if isinstance(was, float) and isinstance(now, float) and was - now > most:
            return (
                f"{name} fell from {was:.3g} to {now:.3g} since the last full run, "
                f"incremental.max_quality_drop={most:g}"
            )
    return None
