"""A level's runs, step by step: the product's decisions between the effects of `world`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from clustering_tasks.identity.published import Base, choose_base
from stage4.database.deliveries import Due
from stage4.database.job_controls import Control, Row, control_of
from stage4.database.job_events import Canceled, Created, Fact, Paused, Published, Resumed, Started
from stage4.database.outbox import JobName
from stage4.database.publication_order import Outcome, publish_in_order
from stage4.events.observation import fact_of
from stage4.events.relay import Relay
from stage4.events.retrying import Outcome as Answer
from stage4.job_ids import job_id
from tests.unit.core.world import (
    DAG,
    LEVEL,
    EndOfProcess,
    Labelled,
    Load,
    Publication,
    Queue,
    Registry,
    Rows,
    World,
)

TASKS = ("identify", "label", "load", "publish")
_ATTEMPTS = 3
_KEEP = timedelta(hours=72)


class RefusedError(Exception):
    """A task that fails for good."""


@dataclass
class Run:
    """A run in Airflow, whose own storage no crash of ours touches."""

    run_id: str
    as_of: datetime
    stories: tuple[str, ...]
    begun: datetime | None = None
    task: int = 0
    state: str = "queued"
    label: Labelled | None = None  # XCom
    busy: bool = False

    def __post_init__(self) -> None:
        self.job = job_id(DAG, self.run_id)


@dataclass
class Receiver:
    """Keeps all it takes, also what the relay never learns of."""

    world: World
    name: str = "hook"
    shared: bool = True
    how: str = "taken"
    hows: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    taken: list[tuple[str, int, str]] = field(default_factory=list)

    def send(self, due: Due) -> Answer:
        self.world.effect()
        how = self.hows.pop(0) if self.hows else self.how
        self.sent.append(how)
        if how == "taken":
            self.taken.append((due.job_id, due.sequence, due.event_id))
        self.world.effect()
        return Answer(how)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Candidate:
    """A run that is to be published, in the world."""

    world: World
    rows: Rows
    run: Run
    label: Labelled

    def put_back_files(self) -> None:
        put_back(self.world, self.rows, self.run.job)

    def refuse_canceled(self) -> None:
        row = self.rows.controls.get(self.run.job)
        if row is not None and row.canceled:
            raise RefusedError("canceled")

    def find_load(self) -> int:
        return max(each.load_id for each in self.rows.loads.values() if each.job == self.run.job)

    def pass_gate(self, load_id: int) -> None:
        assert load_id in self.rows.loads

    def is_superseded(self) -> bool:
        shown = self.rows.shown()
        return shown is not None and shown.as_of > self.run.as_of

    def refuse_lost_ids(self) -> None:
        shown = self.rows.shown()
        assert shown is None or shown.job == self.run.job or self.world.shown_files is not None

    def goes_on_from_the_published(self, load_id: int) -> bool:
        base = choose_base(self.world.chain(), self.run.job, self.run.as_of)
        registry = self.world.identified[self.run.job]
        made = (registry.goes_on_from, self.label.base, self.rows.loads[load_id].files.base)
        return all(each == key_of(base) for each in made)

    def publish_files(self) -> bool:
        if self.files_are_later():
            return False
        world = self.world
        registry = world.identified[self.run.job]
        world.effect()
        world.registries[registry.base.name] = registry
        world.effect()
        world.jsonl[self.run.job] = self.label
        world.effect()
        world.shown_files = registry.base.name
        world.effect()
        return True

    def files_are_later(self) -> bool:
        shown = self.world.shown_files
        return shown is not None and self.world.registries[shown].base.as_of > self.run.as_of

    def move_pointer(self, load_id: int) -> int:
        return move(self.world, self.rows, load_id, "publish")

    def write_completion(self, publication_id: int) -> None:
        fact = Published(self.world.now, publication_id, {})
        self.rows.note(self.run.job, [fact], self.world.now)


def put_back(world: World, rows: Rows, candidate: str | None = None) -> None:
    """As `stage4.database.cut_off`."""
    files = world.shown_files and world.registries[world.shown_files].base.job_id
    shown = rows.shown()
    if shown is None or files in (None, shown.job, candidate):
        return
    world.effect()
    world.shown_files = world.registry_of(shown)
    world.effect()


def key_of(base: Base | None) -> tuple[str, str] | None:
    return None if base is None else (base.name, base.digest)


def move(world: World, rows: Rows, load_id: int, act: str) -> int:
    """As `Pointer.move`: readers see a load."""
    if rows.pointer != load_id:
        number, load = len(rows.publications) + 1, rows.loads[load_id]
        rows.publications.append(Publication(number, load, act, rows.shown(), world.commits))
        rows.write(load.job, "clustering.clusters.changed", None, world.now)
        rows.pointer = load_id
    return max(each.number for each in rows.publications if each.load.load_id == load_id)


def remove_replaced(rows: Rows) -> None:
    """As `pointer.remove_replaced`."""
    newest = {each.job: number for number, each in sorted(rows.loads.items())}
    for number, each in [*rows.loads.items()]:
        if number not in (newest[each.job], rows.pointer):
            del rows.loads[number]


class Level:
    """A level, those who act on it, and who hears of it."""

    def __init__(self) -> None:
        self.world = World()
        self.runs: list[Run] = []
        self.receiver = Receiver(self.world)
        self.interlude: Callable[[], None] | None = None  # what another process does meanwhile
        self.made_again = 0  # ids, because another run was published meanwhile
        self.canceled_at: dict[str, int] = {}  # by the number of commits before

    # What people do.

    def submit(self, stories: tuple[str, ...], hours: int = 0) -> Run:
        number = len(self.runs)
        as_of = self.world.now + timedelta(hours=hours, microseconds=number)
        run = Run(f"manual__{number}", as_of, stories)
        self.runs.append(run)
        self._note(run, Created(self.world.now))
        return run

    def pause(self, run: Run, *, paused: bool) -> None:
        now = self.world.now
        facts: list[Fact] = [Created(now), Paused(now) if paused else Resumed(now)]
        with self.world.transaction() as rows:
            self._control(rows, run, paused=paused)
            rows.note(run.job, facts, now)

    def cancel(self, run: Run) -> None:
        if run.state in ("success", "failed"):
            return
        with self.world.transaction() as rows:
            self._control(rows, run, canceled=True)
        self.canceled_at[run.job] = self.world.commits
        run.state = "failed"
        self.world.effect()
        self._note(run, Canceled(self.world.now))

    def clear(self, run: Run, task: int) -> None:
        """Run a task and those behind it again, as a user of Airflow does."""
        if task <= run.task and not run.busy and run.begun is not None:
            run.task, run.state, run.begun = task, "queued", None

    def roll_back(self, choice: int) -> None:
        rows = self.world.rows
        published = {each.load.load_id: each.load for each in rows.publications}
        published = {number: each for number, each in published.items() if number in rows.loads}
        if not published:
            return
        load = published[sorted(published)[choice % len(published)]]
        with self.world.transaction() as rows:
            self.world.effect()
            self.world.shown_files = self.world.registry_of(load)
            self.world.effect()
            move(self.world, rows, load.load_id, "roll_back")

    def keep_house(self) -> None:
        with self.world.transaction() as rows:
            put_back(self.world, rows)

    # What Airflow does.

    def step(self, run: Run) -> None:
        """One try of a run's next task, of which Airflow starts no second one meanwhile."""
        if run.state in ("success", "failed") or run.busy:
            return
        run.busy = True
        try:
            self._try(run)
        finally:
            run.busy = False

    def _try(self, run: Run) -> None:
        run.begun = run.begun or self.world.now
        run.state = "running"
        self._note(run, Started(run.begun))
        control = self._read_control(run)
        if control.canceled:
            run.state = "failed"
        elif not control.paused:
            self._meanwhile()
            self._perform(run)

    def observe(self) -> None:
        """As the relay's task asks Airflow for the ends of jobs."""
        for job in [*self.world.rows.jobs.values()]:
            if job.ended_at is None:
                name = JobName(job.job_id, LEVEL, job.job_id.partition(".")[2])
                fact = fact_of(name, self, self.world.now)
                if fact is not None:
                    self._note_job(job.job_id, fact)

    def relay(self, share: float) -> None:
        now = self.world.now
        Relay(Queue(self.world), self.receiver, _KEEP, now=lambda: now, share=lambda: share).drain()

    def state(self, dag_id: str, run_id: str) -> str | None:  # noqa: ARG002 - a protocol's
        return next(run.state for run in self.runs if run.run_id == run_id)

    def task_states(self, dag_id: str, run_id: str) -> Mapping[str, str | None]:  # noqa: ARG002
        run = next(run for run in self.runs if run.run_id == run_id)
        return {task: "success" if at < run.task else None for at, task in enumerate(TASKS)}

    def error(self, dag_id: str, run_id: str, failed: str) -> str | None:  # noqa: ARG002
        return None

    def _perform(self, run: Run) -> None:
        acts = (self._identify, self._label, self._load, self._publish)
        try:
            acts[run.task](run)
        except RefusedError:
            run.state = "failed"
            return
        if run.state == "failed":  # canceled meanwhile
            return
        run.task += 1
        if run.task == len(TASKS):
            run.state = "success"

    def _identify(self, run: Run) -> None:
        world = self.world
        base = choose_base(world.chain(), run.job, run.as_of)
        known = world.registries[base.name].ids if base else {}
        ids = {story: known.get(story, f"{story} of {run.job}") for story in run.stories}
        before = None if base is None else base.name
        name = f"{run.job} on {before}"
        mine = Base(name, run.job, run.as_of, f"digest of {name}", before)
        world.effect()
        world.identified[run.job] = Registry(mine, key_of(base), known | ids)
        world.effect()

    def _label(self, run: Run) -> None:
        run.label = self._labelled(run)

    def _labelled(self, run: Run) -> Labelled:
        registry = self.world.identified[run.job]
        ids = {story: registry.ids[story] for story in run.stories}
        self.world.effect()
        self.world.labelled[run.job] = Labelled(registry.goes_on_from, ids)
        self.world.effect()
        return self.world.labelled[run.job]

    def _load(self, run: Run) -> None:
        assert run.label is not None
        self._load_files(run, run.label)

    def _load_files(self, run: Run, files: Labelled) -> None:
        with self.world.transaction() as rows:
            rows.last_load += 1
            rows.loads[rows.last_load] = Load(rows.last_load, run.job, run.as_of, files)
            remove_replaced(rows)

    def _publish(self, run: Run) -> None:
        label = run.label
        assert label is not None
        for _ in range(_ATTEMPTS):
            if self._try_to_publish(run, label).verdict != "ids_again":
                run.label = label
                return
            self.made_again += 1
            self._meanwhile()
            self._identify(run)
            self._meanwhile()
            label = self._labelled(run)
            self._load_files(run, label)
        raise EndOfProcess  # others have published all the while: worth another try

    def _try_to_publish(self, run: Run, label: Labelled) -> Outcome:
        with self.world.transaction() as rows:
            outcome = publish_in_order(Candidate(self.world, rows, run, label))
            remove_replaced(rows)
            return outcome

    def _meanwhile(self) -> None:
        interlude, self.interlude = self.interlude, None
        if interlude is not None:
            interlude()

    def _control(self, rows: Rows, run: Run, **changes: Any) -> None:
        row = rows.controls.get(run.job, Row(run.job, DAG, run.run_id, False, False))
        rows.controls[run.job] = replace(row, **changes)

    def _read_control(self, run: Run) -> Control:
        return control_of(self.world.rows.controls.values(), DAG, run.run_id)

    def _note(self, run: Run, fact: Fact) -> None:
        self._note_job(run.job, fact)

    def _note_job(self, job: str, fact: Fact) -> None:
        with self.world.transaction() as rows:
            rows.note(job, [fact], self.world.now)


__all__ = ["EndOfProcess", "Level", "Run"]
