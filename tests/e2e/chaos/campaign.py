"""Rounds of runs under real faults, one seed a round, as many as are asked for.

`python -m tests.e2e.chaos.campaign --seed 1 --faults 100 --ledger FILE` (`make campaign-real`). A
round runs the levels at once, does its schedule to them, and looks at what they publish and leave.
"""

import argparse
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain, count
from pathlib import Path
from typing import Any

import httpx
import psycopg

from clustering_tasks.settings.levels import LEVELS
from local.errors import LocalError
from local.postgres import AIRFLOW
from stage4.job_ids import job_id
from tests.e2e.chaos import leftovers
from tests.e2e.chaos.faults import Target, possible, strike
from tests.e2e.chaos.installation import DAGS, Installation, installation, new_folder
from tests.e2e.chaos.ledger import Entry, append, pairs_hit, read, summary
from tests.e2e.chaos.results import differences, not_continued, published
from tests.e2e.chaos.schedule import (
    BY_NAME,
    MOST,
    PAIRS,
    Fault,
    Pair,
    schedule,
    schedule_of_pairs,
)
from tests.e2e.conftest import Airflow
from tests.isolation import isolate

CONF = {"parts.min_rows": 20, "parts.max_count": 2}
LOOK_SECONDS = 0.2
RUN_SECONDS = 3600  # far more than a run needs, on a busy machine too: one that takes longer hangs
ENDED = ("success", "failed")
AWAY = (OSError, LocalError, httpx.HTTPError, psycopg.Error)  # what is asked, for a while
LEVEL_OF = {dag: level for level, dag in DAGS.items()}
Json = dict[str, Any]
Expected = dict[str, dict[str, str]]


@dataclass
class Struck:
    """A fault that has its task, and how it went; `hit` is None while it goes on."""

    fault: Fault
    hit: bool | None = None
    error: str | None = None
    over: float = math.inf  # when it was
    thread: threading.Thread | None = None

    def record(self) -> Json:
        return self.fault.record() | {"hit": bool(self.hit)}


@dataclass
class Round:
    """The levels' runs at once, and the faults that are done to them.

    `run` gives the ledger's entries; `expected` is what an undisturbed run of each level publishes.
    """

    installation: Installation
    seed: int
    expected: Expected
    faults: Sequence[Fault] = ()
    runs: dict[str, str] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)  # when, by level
    cleared: dict[str, float] = field(default_factory=dict)  # when last
    struck: list[Struck] = field(default_factory=list)
    missed: dict[Fault, Struck] = field(default_factory=dict)  # how it went last
    tried: set[tuple[Fault, int]] = field(default_factory=set)  # during which tries, by their pids
    known: set[str] = field(default_factory=set)  # what others have left before

    def run(self, levels: Collection[str] = tuple(LEVELS)) -> list[Entry]:
        """Do it; what the receivers of events have got is looked at later (`add_undelivered`)."""
        self.known.update(self._found())
        started = time.monotonic()
        self._trigger(levels)
        self._conduct()
        seconds = [self.ended.get(level, time.monotonic()) - started for level in levels]
        with ThreadPoolExecutor() as pool:  # several may have to be cleared
            entries = list(pool.map(self._entry, levels, seconds))
        self._come_to_rest()
        left = leftovers.settled(lambda: [e for e in self._found() if e not in self.known])
        for entry in entries:
            entry.wrong.extend(left)
        return entries

    def add_undelivered(self, entries: Collection[Entry]) -> None:
        """Add what the receivers of events lack of each run, once they had the time to get it.

        A receiver that was away rests for a minute and more: the next round need not wait for that.
        """
        for entry in entries:
            job = self.job(entry.level)
            lacking = leftovers.settled(
                lambda job=job: leftovers.events(self.installation, job),  # type: ignore[misc]
                leftovers.DELIVERY_SECONDS,
            )
            entry.wrong.extend(lacking)

    def job(self, level: str) -> str:
        return job_id(DAGS[level], self.runs[DAGS[level]])

    @property
    def hits(self) -> int:
        return sum(bool(each.hit) for each in self.struck)

    def _come_to_rest(self) -> None:
        """Nothing of a fault goes on when the next round begins."""
        place = self.installation
        assert {each.mode for each in place.proxies.values()} <= {"pass"}
        assert {each.offset for each in place.clocks.values()} <= {0}
        assert place.hook is None or place.hook.status == HTTPStatus.NO_CONTENT
        assert place.stage3_api is None or place.stage3_api.is_healthy
        assert place.airflow.stage5.answers == []

    def _trigger(self, levels: Collection[str]) -> None:
        for level in levels:
            self.installation.stage3.write(level)
        for level in levels:
            run = self.installation.airflow.api.trigger(DAGS[level], CONF)
            self.runs[DAGS[level]] = run["dag_run_id"]

    def _conduct(self) -> None:
        """Do each fault when its task is at work, until the levels' runs have ended."""
        waiting = list(self.faults)
        deadline = time.monotonic() + RUN_SECONDS
        while len(self.ended) < len(self.runs) and time.monotonic() < deadline:
            with suppress(*AWAY):
                self._put_back(waiting)
                self._strike_those_of(self.installation.running(self.runs), waiting)
                self._look_for_ends()
            time.sleep(LOOK_SECONDS)
        for each in self.struck:
            assert each.thread is not None
            each.thread.join()

    def _put_back(self, waiting: list[Fault]) -> None:
        """What has found nothing to hit waits for the next try of its task, if there is one."""
        for each in [each for each in self.struck if each.hit is False and each.error is None]:
            self.struck.remove(each)
            self.missed[each.fault] = each
            waiting.append(each.fault)

    def _strike_those_of(
        self, running: list[tuple[str, str, int, int]], waiting: list[Fault]
    ) -> None:
        for dag, task, _, pid in running:
            for fault in [f for f in waiting if (DAGS[f.level], f.step) == (dag, task)]:
                target = Target(fault, pid)
                if target.is_at_work() and (fault, pid) not in self.tried:
                    waiting.remove(fault)
                    self._strike(target)

    def _look_for_ends(self) -> None:
        """A run that has failed as it may, or has lost its map so, is cleared and goes on."""
        for dag, run, state in self.installation.rows(
            "SELECT dag_id, run_id, state FROM dag_run WHERE state = ANY(%s)", [*ENDED], of=AIRFLOW
        ):
            level = LEVEL_OF.get(dag)
            if level is None or self.runs.get(dag) != run or level in self.ended:
                continue
            lost = state == "failed" or self._failed_tasks(dag, run)
            if lost and self._may_fail(level):
                if state == "success":  # published without its map, and again with it
                    self.installation.loaded_again.add(self.job(level))
                self._clear(level)
                self.cleared[level] = time.monotonic()
            else:
                self.ended[level] = time.monotonic()

    def _failed_tasks(self, dag: str, run: str) -> bool:
        """Whether a task has failed: `map` is one that a run is published without."""
        query = "SELECT 1 FROM task_instance WHERE dag_id = %s AND run_id = %s AND state = 'failed'"
        return bool(self.installation.rows(query, dag, run, of=AIRFLOW))

    def _may_fail(self, level: str) -> bool:
        """Whether something fatal has hit a run since it was cleared."""
        since = self.cleared.get(level, 0.0)
        return any(
            BY_NAME[each.fault.kind].may_fail and each.hit is not False and each.over >= since
            for each in self.struck
            if each.fault.level == level or BY_NAME[each.fault.kind].is_wide
        )

    def _strike(self, target: Target) -> None:
        struck = Struck(target.fault)
        self.tried.add((target.fault, target.pid))
        self.struck.append(struck)
        struck.thread = threading.Thread(target=self._do, args=(struck, target))
        struck.thread.start()

    def _do(self, struck: Struck, target: Target) -> None:
        time.sleep(struck.fault.wait)
        try:
            struck.hit = strike(self.installation, target)
        except Exception as error:  # noqa: BLE001 - a thread's errors are told by its round
            struck.error = f"{struck.fault}: {error!r}"
        struck.over = time.monotonic()

    def _entry(self, level: str, seconds: float) -> Entry:
        last = {**self.missed, **{each.fault: each for each in self.struck}}.values()
        own = [each for each in last if each.fault.level == level]
        others = [each for each in self.struck if each.fault.level != level and each.hit]
        beside = sorted({e.fault.kind for e in others if BY_NAME[e.fault.kind].is_wide})
        wrong = [each.error for each in self.struck if each.error is not None]
        before = time.monotonic()
        ended, problems = self._end(level)
        return Entry(
            seed=self.seed,
            level=level,
            faults=[each.record() for each in own],
            beside=beside,
            ended=ended,
            seconds=round(seconds + time.monotonic() - before, 1),
            wrong=[*wrong, *problems],
            runner="process" if self.installation.engine is None else "docker",
            load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 1),
        )

    def _end(self, level: str) -> tuple[str, list[str]]:
        """How a run ended, and what is wrong with that."""
        airflow, dag = self.installation.airflow, DAGS[level]
        run = airflow.api.run(dag, self.runs[dag])
        assert run is not None
        if run["state"] not in ENDED:
            states = {str(k): t["state"] for k, t in airflow.task_instances(run).items()}
            airflow.api.fail_run(dag, self.runs[dag])
            return "hung", [f"it has not ended: {states}"]
        if run["state"] == "success":
            return "completed" if level in self.cleared else "published", self._published(level)
        problems = [_failures(airflow, run)]
        self._clear(level)
        run = airflow.api.wait(dag, self.runs[dag])
        if run["state"] != "success":
            return "failed", [*problems, "cleared, and again: " + _failures(airflow, run)]
        return "completed", [*problems, *self._published(level)]

    def _clear(self, level: str) -> None:
        """Let what has failed in a run be done again."""
        dag = DAGS[level]
        run = {"dag_id": dag, "dag_run_id": self.runs[dag]}
        failed = [
            task if index < 0 else [task, index]
            for (task, index), each in self.installation.airflow.task_instances(run).items()
            if each["state"] == "failed"
        ]
        body = {"task_ids": failed, "dry_run": False, "dag_run_id": self.runs[dag]}
        self.installation.airflow.api.post(f"/dags/{dag}/clearTaskInstances", body)

    def _published(self, level: str) -> list[str]:
        try:
            found = published(self.installation, level, self.job(level))
        except AssertionError as error:
            return [str(error)]
        if level not in self.expected:
            self.expected[level] = found
            return []
        return [*differences(self.expected[level], found), *not_continued(self.installation, level)]

    def _found(self) -> list[str]:
        looks = (
            leftovers.processes,
            leftovers.containers,
            leftovers.rows,
            leftovers.files,
            leftovers.keys,
        )
        return [each for look in looks for each in look(self.installation)]


def _failures(airflow: Airflow, run: Json) -> str:
    """The last lines of the log of each failed task."""
    failed = [t for t in airflow.task_instances(run).values() if t["state"] == "failed"]
    return "failed: " + " || ".join(
        f"{t['task_id']}[{t['map_index']}] try {t['try_number']}: {airflow.log_tail(t, 6)}"
        for t in failed
    )


def undisturbed(place: Installation, levels: Collection[str] = tuple(LEVELS)) -> Round:
    """A round without a fault; what others publish is compared with what it `expected`."""
    done = Round(place, 0, {})
    entries = done.run(levels)
    done.add_undelivered(entries)
    for entry in entries:
        assert entry.ended == "published", entry
        assert entry.wrong == [], entry
    return done


@dataclass
class Sitting:
    """Rounds in one installation; a round's entries are kept when its events have arrived.

    The round behind it runs meanwhile. `report` gets what is told of the sitting's course, and
    `rounds` begin with the undisturbed one.
    """

    place: Installation
    ledger: Path
    levels: Sequence[str]
    report: Callable[[str], None]
    rounds: list[Round]
    done: list[Entry] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)  # of the last round

    @property
    def hits(self) -> int:
        return sum(each.hits for each in self.rounds)

    def pairs_hit(self) -> set[Pair]:
        """What the ledger has, and the last round."""
        return pairs_hit([*read([self.ledger]), *self.held])

    def add_round(self, seed: int, planned: Sequence[Fault]) -> None:
        started = time.monotonic()
        following = Round(self.place, seed, self.rounds[0].expected, planned)
        entries = following.run(self.levels)
        self.keep()
        self.rounds.append(following)
        self.held = entries
        self.report(
            f"round {seed}: {following.hits} of {len(planned)} faults hit,"
            f" {time.monotonic() - started:.0f} s"
        )

    def keep(self) -> None:
        """Let the entries of the last round be the ledger's, as they have ended."""
        if not self.held:
            return
        last = self.rounds[-1]
        last.add_undelivered(self.held)
        for entry in self.held:
            append(self.ledger, entry)
            self.done.append(entry)
            self.report(_told(entry))
        if any(entry.wrong for entry in self.held):
            keep_logs(self.place, self.ledger.with_name(f"{self.ledger.stem}-{last.seed}.logs"))
        self.held = []

    def close(self) -> None:
        """Look at the last round's events, and at what two days leave.

        Raises:
            AssertionError: there is a job that nobody asked for, or `housekeeping` left something.
        """
        self.keep()
        asked = {each.job(level) for each in self.rounds for level in self.levels}
        assert leftovers.strangers(self.place, asked) == []
        sweep(self.place)


def campaign(
    seed: int,
    faults: int,
    ledger: Path,
    levels: Sequence[str] = tuple(LEVELS),
    kinds: Collection[str] | None = None,
    image: str | None = None,
    most: int = MOST,
    minutes: float = math.inf,
    again: Sequence[int] = (),
    missing: bool = False,
) -> list[Entry]:
    """Rounds from a seed on, until so many faults have hit; what goes wrong is kept and told.

    Args:
        seed: of the first round; the next has the next one.
        faults: how many are wanted.
        ledger: file that a line is added to for each run.
        levels, kinds: what runs, and what is done to it.
        image: of the engine; None: the steps are processes.
        most: faults of a run.
        minutes: no round begins later.
        again: seeds whose rounds come first, as those that have ended wrong.
        missing: draw pairs of a fault and a task that the ledger lacks, until none is left.
    """
    began = time.monotonic()

    def report(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)  # noqa: T201 - a program

    with new_folder() as folder, installation(folder, image) as place:
        report("the installation is up")
        sitting = Sitting(place, ledger, levels, report, [undisturbed(place, levels)])
        report("the undisturbed runs are published")
        chosen = [kind for kind in possible(place) if kinds is None or kind in kinds]
        seeds = chain(again, count(seed))
        while sitting.hits < faults and time.monotonic() < began + 60 * minutes:
            of_round = next(seeds)
            planned = schedule(of_round, levels, chosen, most)
            if missing:
                pairs = {pair for pair in PAIRS - sitting.pairs_hit() if pair[0] in chosen}
                planned = schedule_of_pairs(of_round, levels, pairs, most)
            if not planned:
                break
            sitting.add_round(of_round, planned)
        sitting.close()
        report("all is looked at")
    report("everything is stopped")
    return sitting.done


def sweep(place: Installation) -> int:
    """Let two days pass over what killed tries have left; returns how many folders went.

    Raises:
        AssertionError: `housekeeping` has left some of it.
    """
    left = leftovers.attempts(place)
    long_ago = time.time() - 3 * 86_400
    for each in (path for folder in left for path in (folder, *folder.rglob("*"))):
        os.utime(each, (long_ago, long_ago))
    run = place.airflow.run_dag("housekeeping")
    assert run["state"] == "success", place.airflow.explain(run)
    assert leftovers.attempts(place) == []
    return len(left)


def keep_logs(place: Installation, target: Path) -> None:
    """Copy the services' logs and those of the tasks, for whoever looks for the cause."""
    state = place.stack.state
    shutil.copytree(state.logs, target / "services", dirs_exist_ok=True)
    shutil.copytree(state.airflow_home / "logs", target / "tasks", dirs_exist_ok=True)


def _told(entry: Entry) -> str:
    faults = ", ".join(
        f"{f['kind']} in {f['step']}{'' if f['hit'] else ' (missed)'}" for f in entry.faults
    )
    end = (
        f"{entry.seed} {entry.level}: {entry.ended} in {entry.seconds:.0f} s,"
        f" load {entry.load} [{faults}]"
    )
    return "\n  WRONG: ".join((end, *entry.wrong))


def _names(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=int, nargs="*", default=(), help="seeds to do before")
    parser.add_argument("--missing", action="store_true", help="what the ledger has no hit of")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--ledger", type=Path, default=Path("chaos-ledger.jsonl"))
    parser.add_argument("--levels", type=_names, default=tuple(LEVELS), help="commas between")
    parser.add_argument("--kinds", type=_names, help="of faults, commas between; without it all")
    parser.add_argument("--most", type=int, default=MOST, help="faults of a run")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no round begins later")
    parser.add_argument("--image", help="of the engine: the steps are containers")
    asked = parser.parse_args()
    isolate()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is stopped on the way
    done = campaign(**vars(asked))
    sys.stdout.write(summary(read([asked.ledger])) + "\n")
    sys.exit(any(entry.wrong for entry in done))


if __name__ == "__main__":
    main()
