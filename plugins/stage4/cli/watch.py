"""Following a job to its end: a bar on a terminal, a line for every change elsewhere."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from stage4.cli.errors import BusyError, UnreachableError
from stage4.cli.output import clean, console
from stage4.cli.server import Server, named

FINISHED = ("completed", "failed", "canceled")
POLL_SECONDS = 2.0
# An API server that is started again is away for about a minute.
_MOST_FAILURES = 60

Json = dict[str, Any]


def follow(server: Server, job_id: str, *, quiet: bool) -> Json:
    """Wait for a job's end and show how far it is, on standard error.

    Args:
        server: to ask.
        job_id: of the job.
        quiet: whether to show nothing.

    Returns:
        The job as it is at its end.

    Raises:
        CommandError: the server does not answer for long, or there is no such job.
    """
    states = _states(server, job_id)
    if quiet:
        *_, last = states
        return last
    return _with_bar(states) if console(error=True).is_terminal else _with_lines(states)


def _states(server: Server, job_id: str) -> Iterator[Json]:
    """Yield the job until it has finished; a server that is away for a while is waited for."""
    failures = 0
    while True:
        try:
            job = server.get(named("jobs", job_id))
        except (BusyError, UnreachableError):
            failures += 1
            if failures > _MOST_FAILURES:
                raise
        else:
            failures = 0
            yield job
            if job["state"] in FINISHED:
                return
        time.sleep(POLL_SECONDS)


def doing(job: Json) -> str:
    """Say in a few words what a job does."""
    if job["state"] == "paused":
        return "paused: stage4 resume lets it go on"
    if job["state"] == "queued":
        return "queued" + (" (its DAG is paused)" if job["paused"] else "")
    running = [_part(task) for task in job["tasks"] if task["states"].get("running")]
    return clean(", ".join(running) or job["state"])


def _part(task: Json) -> str:
    done, total = task["states"].get("success", 0), sum(task["states"].values())
    return f"{task['task_id']} {done}/{total}" if total > 1 else str(task["task_id"])


def _with_bar(states: Iterator[Json]) -> Json:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(error=True), transient=True) as progress:
        bar = progress.add_task("", total=100)

        def draw(job: Json) -> None:
            progress.update(bar, completed=job["percent"] or 0, description=doing(job))

        return _each(states, draw)


def _with_lines(states: Iterator[Json]) -> Json:
    to, said = console(error=True), set[str]()

    def write(job: Json) -> None:
        done = "    - " if job["percent"] is None else f"{job['percent']:5.1f} %"
        line = f"{done}  {doing(job)}"
        if line not in said:
            to.print(line, markup=False)
        said.add(line)

    return _each(states, write)


def _each(states: Iterator[Json], show: Callable[[Json], None]) -> Json:
    job: Json = {}
    for job in states:
        show(job)
    return job
