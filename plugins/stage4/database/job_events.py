"""Which events the facts about a job cause; nothing here reads a clock or a database."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from clustering_tasks.contract.cloud_events import JOB_PREFIX
from clustering_tasks.settings.levels import LEVELS

State = Literal["queued", "running", "paused", "completed", "failed", "canceled"]

PROGRESS_PERIOD = timedelta(seconds=5)  # at most one event of progress in this time (EV-1)
_UNDECIDED = frozenset({"queued", "running", "paused", None})

Json = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A job as its events so far describe it; the columns of `stage4.event_jobs`.

    Attributes:
        job_id: the run.
        level: plural name.
        state: None: no event was about its state.
        started_at: last start.
        ended_at: end of that start; None: Airflow's run may go on.
        percent: by the last event of progress.
        progress_at: time of that event.
    """

    job_id: str
    level: str
    state: State | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    percent: float | None = None
    progress_at: datetime | None = None


@dataclass(frozen=True)
class Created:
    """The job waits for its start."""

    at: datetime


@dataclass(frozen=True)
class Started:
    """Airflow's run has started; `at` tells one start from the next."""

    at: datetime


@dataclass(frozen=True)
class Progressed:
    """A share of the tasks has finished, in percent."""

    at: datetime
    percent: float


@dataclass(frozen=True)
class Paused:
    """Nothing new starts."""

    at: datetime


@dataclass(frozen=True)
class Resumed:
    """It goes on."""

    at: datetime


@dataclass(frozen=True)
class Published:
    """The job's clusters are published; `data` is CONTRACT.md's event."""

    at: datetime
    publication_id: int
    data: Json


@dataclass(frozen=True)
class Ended:
    """Airflow's run has ended."""

    at: datetime
    state: Literal["success", "failed"]
    error: str | None = None


@dataclass(frozen=True)
class Canceled:
    """A user has ended the run."""

    at: datetime


Fact = Created | Started | Progressed | Paused | Resumed | Published | Ended | Canceled


@dataclass(frozen=True)
class Event:
    """An event without its place among those of the job.

    Attributes:
        type: of CloudEvents.
        at: when it happened.
        data: of CloudEvents.
        key: at most one event of a job has it; None: any number.
    """

    type: str
    at: datetime
    data: Json
    key: str | None = None


def observe(job: Job, fact: Fact) -> tuple[Job, list[Event]]:
    """Take note of a fact: the job after it, and the events that it causes.

    A fact that is known already, or comes too late, changes nothing.
    """
    match fact:
        case Started():
            return _start(job, fact)
        case Progressed():
            return _progress(job, fact)
        case Published():
            event = Event(f"{JOB_PREFIX}completed", fact.at, fact.data, f"{fact.publication_id}")
            return replace(job, state="completed"), [event]
        case Ended():
            return _end(job, fact)
        case Canceled(at):
            return _close(job, "canceled", at, None)
        case Created() | Paused() | Resumed():
            return _wait(job, fact)


def observe_all(job: Job, facts: Iterable[Fact]) -> tuple[Job, list[Event]]:
    """`observe` one fact after the other."""
    events: list[Event] = []
    for fact in facts:
        job, caused = observe(job, fact)
        events += caused
    return job, events


def _start(job: Job, fact: Started) -> tuple[Job, list[Event]]:
    if job.started_at is not None and fact.at <= job.started_at:
        return job, []
    if job.state == "completed" and job.started_at is None:  # published before this was known
        return replace(job, started_at=fact.at), []
    started = replace(job, started_at=fact.at, ended_at=None, percent=None, progress_at=None)
    if job.state == "paused":  # its first task begins, and waits
        return started, [_event(started, "started", fact.at)]
    if job.state is not None:
        return _to(started, "running", "started", fact.at)
    queued, created = _to(job, "queued", "created", fact.at)
    started, events = _to(replace(started, state=queued.state), "running", "started", fact.at)
    return started, created + events


def _wait(job: Job, fact: Created | Paused | Resumed) -> tuple[Job, list[Event]]:
    match fact:
        case Created(at) if job.state is None:
            return _to(job, "queued", "created", at)
        case Paused(at) if job.state in ("queued", "running"):
            return _to(job, "paused", "paused", at)
        case Resumed(at) if job.state == "paused":
            state: State = "queued" if job.started_at is None else "running"
            return _to(job, state, "resumed", at)
    return job, []


def _progress(job: Job, fact: Progressed) -> tuple[Job, list[Event]]:
    early = job.progress_at is not None and fact.at - job.progress_at < PROGRESS_PERIOD
    if job.state != "running" or early or fact.percent <= (job.percent or 0):
        return job, []
    come = replace(job, percent=fact.percent, progress_at=fact.at)
    return come, [_event(come, "progress", fact.at)]


def _end(job: Job, fact: Ended) -> tuple[Job, list[Event]]:
    if fact.state == "failed":
        return _close(job, "failed", fact.at, fact.error)
    if job.state in _UNDECIDED:
        return _close(job, "completed", fact.at, None)
    return replace(job, ended_at=job.ended_at or fact.at), []


def _close(job: Job, state: State, at: datetime, error: str | None) -> tuple[Job, list[Event]]:
    """End the job, unless its end is known."""
    if job.ended_at is not None:
        return job, []
    closed = replace(job, state=state, ended_at=at)
    return closed, [_event(closed, state, at, error)]


def _to(job: Job, state: State, what: str, at: datetime) -> tuple[Job, list[Event]]:
    moved = replace(job, state=state)
    return moved, [_event(moved, what, at)]


def _event(job: Job, what: str, at: datetime, error: str | None = None) -> Event:
    kind = f"{JOB_PREFIX}{what}"
    data = {
        "event_type": kind,
        "job_id": job.job_id,
        "embedding_type": LEVELS[job.level].cluster_type,
        "state": job.state,
        "started_at": _text(job.started_at),
        "percent": job.percent,
        "expected_end": _text(_expected_end(job, at)),
        "error": error,
        "timestamp": _text(at),
    }
    return Event(kind, at, data)


def _expected_end(job: Job, at: datetime) -> datetime | None:
    """Assume that every percent takes as long as those so far."""
    if job.state != "running" or not job.percent or job.started_at is None:
        return None
    try:
        return job.started_at + (at - job.started_at) * (100 / job.percent)
    except OverflowError:
        return None  # by so small a share it would lie beyond the calendar


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
