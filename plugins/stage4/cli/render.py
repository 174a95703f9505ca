"""The answers of the APIs as people read them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clustering_tasks.settings.levels import LEVELS
from stage4.cli.output import cell, clean, facts, moment, number, size, table, trend

Json = dict[str, Any]
CORE = (
    *("counts.read", "counts.clusters", "coverage", "outlier_share", "raw_outlier_share"),
    *("largest_cluster_share", "quality.silhouette", "quality.davies_bouldin"),
    *("quality.intra_cluster_similarity", "quality.mean_probability"),
    *("sizes.min", "sizes.mean", "sizes.max", "tags.per_item", "tags.conflicts"),
    "errors.total",
)


def health(found: Json) -> Iterator[RenderableType]:
    """Yield what Stage 4 rests on."""
    rows = [
        (name, each["status"], each["detail"], each["seconds"])
        for name, each in found["dependencies"].items()
    ]
    yield facts({"Stage 4": found["status"], "version": found["version"]})
    yield ""
    yield table(("needs", "status", "", "seconds"), rows, most=None)


def submitted(job: Json) -> Iterator[RenderableType]:
    """Yield what was started."""
    seconds = job["expected_seconds"]
    yield facts(
        {
            "job": job["job_id"],
            "state": job["state"] + ("" if job["created"] else " (submitted before)"),
            "jobs before it": job["jobs_before"],
            "will take": None if seconds is None else f"about {number(seconds)} s",
        }
    )
    yield from _idle_settings(job["idle_settings"], of_levels=job["level"] is None)
    if job["paused"]:
        yield Text(
            f"The DAG {job['dag_id']} is paused, so the job waits: unpause it in Airflow.",
            style="yellow",
        )
    yield f"Follow it: stage4 status --watch {clean(job['job_id'])}"


def deletion(found: Json) -> Iterator[RenderableType]:
    """Yield what a document's deletion took out, and how far it is."""
    yield facts(
        {
            "deletion": found["deletion_id"],
            "state": found["state"],
            "asked for": moment(found["requested_at"]),
            "carried out": moment(found["carried_out_at"]),
        }
    )
    yield ""
    if not found["counts"]:
        yield (
            "Nothing is known of such a document yet: no run has an item of it. The deletion "
            "stands: what Stage 3 delivers of it is left out."
        )
        return
    rows = [
        (level, each["items"], each["clusters"], each["runs"])
        for level, each in found["counts"].items()
    ]
    yield table(("level", "items", "clusters", "runs"), rows)
    if found["state"] == "requested":
        yield "Nobody sees it any more; the DAG delete_document removes what is left of it."
        yield "A job at work that had read it fails: `stage4 retry JOB` begins it anew."


def correction(found: Json) -> Iterator[RenderableType]:
    """Yield a correction as it is kept, and whether the request has changed anything."""
    yield facts(
        {
            "correction": str(found["correction_id"]),
            "level": found["level"],
            "state": found["state"],
            "what": _what(found),
            "why": found["reason"] or None,
            "made by": found["made_by"],
            "made": moment(found["made_at"]),
            "undone by": found["undone_by"],
            "undone": moment(found["undone_at"]),
        },
        most=None,
    )
    if not found["changed"]:
        held = "holds" if found["state"] == "holds" else "is undone"
        yield f"It {held} already: nothing is to be done."
    elif found["state"] == "holds":
        yield "The runs that start from now on apply it."


def corrections(found: Sequence[Json]) -> Iterator[RenderableType]:
    """Yield a list of corrections."""
    rows = [
        (
            str(each["correction_id"]),
            each["level"],
            _what(each),
            each["made_by"],
            moment(each["made_at"]),
            each["reason"],
        )
        for each in found
    ]
    heads = ("number", "level", "what", "by", "made", "why")
    yield table(heads, rows, most=None) if rows else "no corrections"


def events(found: Sequence[Json]) -> Iterator[RenderableType]:
    """Yield a list of events, a line for each delivery."""
    rows = [
        (
            moment(each["created_at"]),
            each["job_id"],
            str(each["sequence"]),
            each["type"].removeprefix("clustering."),
            delivery["receiver"],
            delivery["state"].replace("_", " "),
            str(delivery["attempts"]),
            delivery["last_error"],
            each["event_id"],
        )
        for each in found
        for delivery in each["deliveries"] or [_NOBODY]
    ]
    heads = ("written", "job", "seq", "what", "receiver", "state", "tries", "error", "id")
    yield table(heads, rows) if rows else "no events"


def receivers(found: Json) -> Iterator[RenderableType]:
    """Yield what each receiver has not taken."""
    rows = [
        (
            each["receiver"],
            f"{each['pending']:,}",
            f"{each['given_up']:,}",
            moment(each["oldest_pending_at"]),
            moment(each["retry_at"]),
            each["last_error"],
        )
        for each in found["receivers"]
    ]
    heads = ("receiver", "pending", "given up", "oldest pending", "next attempt", "error")
    if rows:
        yield table(heads, rows)
    elif found.get("configured") == []:
        yield "no receiver is configured: STAGE4_EVENT_RECEIVERS names them (docs/EVENTS.md)"
    else:
        yield "every receiver has taken its events"


def events_of_stage3(found: Json) -> Iterator[RenderableType]:
    """Yield a list of Stage 3's events, a line each, and what waits for how many."""
    rows = [
        (
            moment(each["received_at"]),
            each["level"],
            each["type"],
            each["stage3_job"],
            number(each["total_embeddings"]),
            each["received_by"],
            each["job_id"] or "no run yet",
        )
        for each in found["events"]
    ]
    heads = ("received", "level", "what", "Stage 3's job", "embeddings", "by", "for")
    yield table(heads, rows) if rows else "no events"
    for each in found["waiting"]:
        have, least = number(each["embeddings"]), number(each["min_embeddings"])
        if each["embeddings"] < each["min_embeddings"]:
            yield f"{each['level']}: {have} of {least} embeddings wait (STAGE4_MIN_EMBEDDINGS)"
        else:
            yield f"{each['level']}: {have} embeddings wait for the next look of receive_events"


_WAITS = {"none": "waits"}
_NOBODY = {"receiver": None, "state": "no receiver", "attempts": 0, "last_error": None}


def _what(found: Json) -> str:
    """Name what a correction is about: clusters that were named stand for their members."""
    kind, names, clusters = found["kind"], found["names"], found["clusters"]
    if found["cluster_id"] is not None:
        name = f" to {found['label']}" if found["label"] is not None else ""
        return f"{kind} {_with_names([found['cluster_id']], names)}{name}"
    if kind == "apart":
        stay = clusters or found["others"]
        return f"{kind} {_with_names(found['items'], names)} from {_with_names(stay, names)}"
    return f"{kind} {_with_names(clusters or found['items'], names)}"


def _with_names(ids: Sequence[str], names: Json) -> str:
    return ", ".join(f"{each} ({names[each]})" if each in names else each for each in ids)


def job(found: Json, run: Json | None) -> Iterator[RenderableType]:
    """Yield a job, its tasks, and what it has loaded, if that is known."""
    yield facts(
        {
            "job": found["job_id"],
            "level": found["level"] or "all",
            "state": found["state"] + (" (DAG paused)" if found["paused"] else ""),
            "done": _percent(found["percent"]),
            "items": f"{number(found['items_done'])} of {number(found['items_total'])}",
            "parts": _parts(found),
            "jobs before it": found["jobs_before"] or None,
            "queued": moment(found["queued_at"]),
            "started": moment(found["started_at"]),
            "ended": moment(found["ended_at"]),
        }
    )
    yield ""
    yield from _idle_settings(found.get("idle_settings") or [])
    rows = [(task["task_id"], _states(task["states"])) for task in found["tasks"]]
    yield table(("task", "state"), rows)
    if run is not None:
        names = ("state", "algorithm", "clusters", "clustered", "noise", "filtered", "unassigned")
        yield ""
        shown = {name: run[name] for name in (*names, "coverage")}
        quality = run["quality"].get("silhouette")
        made = {"mode": _mode(run["mode"]), "ids": _lineage(run["lineage"])}
        yield facts({"load": str(run["load_id"])} | made | shown | {"silhouette": quality})
    for error in found["errors"]:
        yield ""
        yield Text(_failed(error), style="red")


def _percent(done: float | None) -> str | None:
    return None if done is None else f"{int(done)} %"  # 100 % is the whole


def _mode(found: Json) -> str | None:
    """Name the mode that a run took; where another was asked for, or may be, the reason."""
    if not found:
        return None  # of a version before there were modes
    if found["asked"] == "full":
        return str(found["taken"])
    return f"{found['taken']} (asked for: {found['asked']}; {found['reason']})"


def _lineage(found: Mapping[str, int]) -> str | None:
    most_first = sorted(found.items(), key=lambda each: -each[1])
    return ", ".join(f"{number(ids)} {change}" for change, ids in most_first if ids) or None


def _idle_settings(found: Iterable[Json], *, of_levels: bool = False) -> Iterator[RenderableType]:
    for each in found:
        level = f"{each['level']}: " if of_levels else ""
        given = f"{each['setting']}={cell(each['value'])}"
        yield Text(
            f"{level}{clean(given)} has no effect: it {clean(each['reason'])}", style="yellow"
        )


def _parts(found: Json) -> str:
    failed = f", {number(found['parts_failed'])} failed" if found["parts_failed"] else ""
    return f"{number(found['parts_done'])} of {number(found['parts_total'])}{failed}"


def _failed(error: Json) -> str:
    part = "" if error["map_index"] < 0 else f" (part {error['map_index']})"
    message = error["message"] or "its log cannot be read, or says nothing"
    return f"{error['task_id']}{part}: " + "\n".join(map(clean, message.splitlines()))


def _states(states: Mapping[str, int]) -> str:
    told = {_WAITS.get(state, state.replace("_", " ")): count for state, count in states.items()}
    if sum(told.values()) == 1:
        return next(iter(told))
    return ", ".join(f"{count} {state}" for state, count in told.items())


def jobs(found: Iterable[Json]) -> Iterator[RenderableType]:
    """Yield a list of jobs."""
    rows = [
        (
            each["job_id"],
            each["level"] or "all",
            each["state"],
            moment(each["started_at"] or each["queued_at"]),
            moment(each["ended_at"]),
        )
        for each in found
    ]
    yield table(("job", "level", "state", "started", "ended"), rows) if rows else "no jobs"


def clusters(found: Sequence[Json]) -> Iterator[RenderableType]:
    """Yield clusters that a search has found."""
    rows = [
        (
            each["cluster_id"],
            each["size"],
            each["label"],
            (each["start_time"] or "")[:10],
            _ended(each) or each["trend"],
            each["keywords"][:5],
        )
        for each in found
    ]
    heads = ("cluster", "size", "label", "from", "trend", "keywords")
    yield table(heads, rows) if rows else "nothing found"


def cluster(found: Json, members: Sequence[Json] | None) -> Iterator[RenderableType]:
    """Yield a cluster, and its members where they were asked for."""
    names = ("cluster_id", "label", "size", "level", "load_id", "domain", "event_type")
    more = ("entity_type", "start_time", "end_time", "intra_cluster_similarity", "mean_probability")
    lists = ("key_phrases", "keywords", "primary_entities")
    shown = {name: found[name] for name in (*names, *more, *lists)} | {
        "load_id": str(found["load_id"]),
        "trend": _trend(found),
        "tags": [f"{each['tag']} ({each['confidence']:.0%})" for each in found["tags"]],
        "label_source": found["record"].get("label_source"),  # None: a record of before
    }
    yield facts({name.replace("_", " "): value for name, value in shown.items()})
    yield from (_mark(each, found["label"]) for each in found["marks"])
    yield ""
    named = _rows(found["representatives"], ("id", "similarity", "title"))
    yield table(("representative", "similarity", "title"), named)
    if members is not None:
        columns = (
            *("source_id", "title", "document_id", "probability", "similarity"),
            "near_duplicate_of",
        )
        titled = [each | {"title": _title(each["metadata"], found["level"])} for each in members]
        yield ""
        yield table(
            ("member", "title", "document", "probability", "similarity", "near-duplicate of"),
            _rows(titled, columns),
        )


def _trend(found: Json) -> str | None:
    if found["trend"] in (None, "unknown"):
        return None
    rates = f"{number(found['rate'])} a day, {number(found['earlier_rate'])} before"
    return _ended(found) or f"{found['trend']}: {rates}"


def _ended(found: Json) -> str | None:
    """Say that all items are older than both periods of the trend; None: they are not."""
    if found["trend"] != "fading" or found["rate"] or found["earlier_rate"]:
        return None
    last = found["end_time"] or found["start_time"]
    if last is None or datetime.fromisoformat(last) > datetime.now(UTC):  # an item's time span
        return "ended"
    return f"ended, last item {last[:10]}"


def _mark(found: Json, label: str) -> Text:
    """Say what a person decided about the cluster itself."""
    told = {
        "pin": "pinned",
        "hide": "hidden: lists and searches omit it",
        "rename": f"renamed to {found['label']}"
        + ("" if found["label"] == label else ", from the next run on"),
    }[found["kind"]]
    return Text(f"{clean(told)} (correction {found['correction_id']})", style="yellow")


def successors(found: Json) -> Iterator[RenderableType]:
    """Yield the clusters that a former id was split into."""
    yield f"{clean(found['cluster_id'])} was split; its members are in:"
    yield ""
    names = ("cluster_id", "state", "size", "label")
    yield table(("cluster", *names[1:]), _rows(found["choices"], names))


def history(found: Json) -> Iterator[RenderableType]:
    """Yield what an id is by now, and what became of it in each run."""
    yield facts(
        {
            "cluster id": found["cluster_id"],
            "state": found["state"],
            "successors": found["successors"] or None,
            "born": f"{moment(found['born_at'])} ({found['born_job']})",
            "last seen": f"{moment(found['last_seen_at'])} ({found['last_seen_job']})",
            "version": found["version"],
        }
    )
    rows = [
        (
            moment(each["as_of"]),
            each["change"] + (" (withdrawn)" if each["withdrawn"] else ""),
            each["size"],
            each["job_id"],
            [_shares(other, found["cluster_id"]) for other in each["related"]],
        )
        for each in found["lineage"]
    ]
    yield ""
    yield table(("run of", "change", "size", "job", "shares members with"), rows)


def _shares(other: Json, cluster_id: str) -> str:
    name = "itself" if other["cluster_id"] == cluster_id else other["cluster_id"]
    return f"{name} {other['shared']} ({other['of_it']:.0%} of it)"


def _title(metadata: Json, level: str) -> str | None:
    """Return what names an item in a reader's words; None: Stage 3 wrote no such text."""
    for field in LEVELS[level].title_fields:
        value = metadata.get(field)
        if isinstance(value, list):
            value = ", ".join(each for each in value if isinstance(each, str))
        if isinstance(value, str) and value.strip():
            return value
    return None


def _rows(records: Iterable[Json], columns: Sequence[str]) -> list[tuple[object, ...]]:
    return [tuple(record[name] for name in columns) for record in records]


def metrics(
    found: Json, alerts: Sequence[Json], names: Sequence[str] | None
) -> Iterator[RenderableType]:
    """Yield a level's metrics beside those of the runs before, and its alerts."""
    latest = found["latest"]
    before = [run["values"] for run in found["trend"]]
    yield facts({"level": found["level"], "load": str(latest["load_id"]), "job": latest["job_id"]})
    yield ""
    yield table(
        ("metric", "now", "median", "least", "most", f"last {len(before)} published"),
        (_metric(name, latest["values"], before) for name in names or _core(latest["values"])),
    )
    for alert in alerts:
        yield ""
        yield Text.assemble(cell(alert["severity"]), f": {clean(alert['message'])}")
        yield Text(f"  {clean(alert['action'])}")


def _core(values: Json) -> list[str]:
    return [*CORE, *sorted(name for name in values if name.startswith(("seconds.", "run.")))]


def _metric(name: str, now: Json, before: Sequence[Json]) -> tuple[object, ...]:
    old = [run.get(name) for run in before]
    known = [value for value in old if value is not None]
    least, usual, most = (min(known), median(known), max(known)) if known else (None, None, None)
    return name, _float(now.get(name)), _float(usual), _float(least), _float(most), trend(old)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def resources(found: Json) -> Iterator[RenderableType]:
    """Yield what host and pools have left."""
    yield facts(
        {
            "processors": found["cpus"],
            "load": found["load_1_minute"],
            "memory free": _of(found["memory_available_bytes"], found["memory_total_bytes"]),
            "workspace free": _of(found["disk_free_bytes"], found["disk_total_bytes"]),
        }
    )
    for gpu in found["gpus"]:
        yield facts(
            {
                "GPU": gpu["name"],
                "memory at its peak": _of(gpu["memory_peak_bytes"], gpu["memory_total_bytes"]),
                "before the task": size(gpu["memory_before_bytes"]),
                "after it": size(gpu["memory_after_bytes"]),
                "measured": moment(gpu["measured_at"]),
            }
        )
    names = ("name", "slots", "running", "queued", "scheduled")
    yield ""
    yield table(("pool", *names[1:]), _rows(found["pools"], names))


def _of(part: int | None, whole: int | None) -> str | None:
    return None if part is None else f"{size(part)} of {size(whole)}"
