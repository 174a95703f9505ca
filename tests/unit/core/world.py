"""What a crash leaves of a level: rows of the database and files of the workspace.

A model of storage, and of nothing else: a transaction holds whole or not at all, a file at once.
What is decided between the effects is the product's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from clustering_tasks.identity.published import Base
from stage4.database.deliveries import DeliveryState, Due
from stage4.database.job_controls import Row
from stage4.database.job_events import Fact, Job, observe_all
from tests.events_out import NOON, due

LEVEL = "events"
DAG = "cluster_events"


class EndOfProcess(BaseException):
    """SIGKILL."""


@dataclass(frozen=True)
class Labelled:
    """The files of `label`: of each story the id, and the base that the ids go on from."""

    base: tuple[str, str] | None
    ids: dict[str, str]


@dataclass(frozen=True)
class Load:
    """A run in the database."""

    load_id: int
    job: str
    as_of: datetime
    files: Labelled

    @property
    def ids(self) -> dict[str, str]:
        return self.files.ids


@dataclass(frozen=True)
class Publication:
    """A move of the pointer; `at` counts the commits of the world."""

    number: int
    load: Load
    act: str
    base: Load | None
    at: int


@dataclass(frozen=True)
class Delivery:
    """A row of `stage4.deliveries` with its event."""

    due: Due
    state: DeliveryState
    next_attempt_at: datetime


@dataclass(frozen=True)
class Registry:
    """Ids: what a run goes on from, and of every story known so far the id."""

    base: Base
    goes_on_from: tuple[str, str] | None
    ids: dict[str, str]


@dataclass
class Rows:
    """The database. Values are never changed in place, so a copy of the containers is a copy."""

    loads: dict[int, Load] = field(default_factory=dict)
    last_load: int = 0
    pointer: int | None = None
    publications: list[Publication] = field(default_factory=list)
    controls: dict[str, Row] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    keys: set[tuple[str, str]] = field(default_factory=set)
    deliveries: list[Delivery] = field(default_factory=list)
    silent: int = 0
    retry_at: datetime = NOON

    def copy(self) -> "Rows":
        own = Rows(**vars(self))
        for name in ("loads", "publications", "controls", "jobs", "sequences", "keys"):
            setattr(own, name, getattr(self, name).copy())
        own.deliveries = self.deliveries.copy()
        return own

    def shown(self) -> Load | None:
        return None if self.pointer is None else self.loads[self.pointer]

    def note(self, job: str, facts: list[Fact], now: datetime) -> None:
        """As `outbox.note` does it."""
        after, events = observe_all(self.jobs.get(job, Job(job, LEVEL)), facts)
        self.jobs[job] = after
        for event in events:
            self.write(job, event.type, event.key, now)

    def write(self, job: str, kind: str, key: str | None, now: datetime) -> None:
        if key is not None and (job, key) in self.keys:
            return
        if key is not None:
            self.keys.add((job, key))
        self.sequences[job] = self.sequences.get(job, 0) + 1
        number = len(self.deliveries) + 1
        event: dict[str, Any] = {"number": number, "job_id": job, "type": kind, "since": now}
        event |= {"sequence": self.sequences[job], "event_id": f"event {number}", "data": {}}
        self.deliveries.append(Delivery(due(**event), "pending", now))


@dataclass
class World:
    """Storage, the clock, and when the process at work is to end."""

    rows: Rows = field(default_factory=Rows)
    registries: dict[str, Registry] = field(default_factory=dict)
    identified: dict[str, Registry] = field(default_factory=dict)  # newest results, by job
    labelled: dict[str, Labelled] = field(default_factory=dict)
    jsonl: dict[str, Labelled] = field(default_factory=dict)  # published, by job
    shown_files: str | None = None  # the registry that published.json names
    now: datetime = NOON
    left: int = -1  # effects until the process ends; -1: it does not
    commits: int = 0
    effects: int = 0

    def effect(self) -> None:
        self.effects += 1
        if self.left == 0:
            raise EndOfProcess
        self.left -= 1

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        rows = self.rows.copy()
        yield rows
        self.effect()
        self.rows = rows
        self.commits += 1
        self.effect()

    def chain(self) -> Iterator[Base]:
        """As `find_base` reads it."""
        name = self.shown_files
        while name is not None:
            base = self.registries[name].base
            yield base
            name = base.before

    def registry_of(self, load: Load) -> str:
        """Name the newest published registry of a load's run."""
        found = [name for name, each in self.registries.items() if each.base.job_id == load.job]
        return found[-1]

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Queue:
    """The relay's view of the rows; each method is one transaction."""

    world: World

    def due(self, now: datetime, limit: int) -> list[Due]:
        rows = self.world.rows
        if rows.retry_at > now:
            return []
        pending = [each for each in rows.deliveries if each.state == "pending"]
        held: dict[str, int] = {}
        for each in reversed(pending):
            if each.next_attempt_at > now:
                held[each.due.job_id] = each.due.number
        free = (each.due for each in pending if each.due.number < held.get(each.due.job_id, 10**9))
        return [*free][:limit]

    def settle(
        self,
        due: Due,
        state: DeliveryState,
        *,
        next_attempt_at: datetime,
        refused: bool = False,
        **_: Any,
    ) -> None:
        self.world.effect()
        tried = replace(due, attempts=due.attempts + 1, refusals=due.refusals + refused)
        self.world.rows.deliveries[due.number - 1] = Delivery(tried, state, next_attempt_at)
        self.world.effect()

    def failures(self) -> int:
        return self.world.rows.silent

    def answers(self) -> None:
        self.world.effect()
        self.world.rows.silent, self.world.rows.retry_at = 0, NOON

    def rest(self, failures: int, retry_at: datetime, error: str) -> None:  # noqa: ARG002 - a protocol's
        self.world.effect()
        self.world.rows.silent, self.world.rows.retry_at = failures, retry_at
