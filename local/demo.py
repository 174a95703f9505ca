"""`make demo`: sample vectors in, clusters in PostgreSQL and JSONL out, by a real Airflow.

The demo has a place of its own, `demo` in the state folder: database, workspace, results, port and
secrets. Neither the caller's settings nor a running `make up` take part in it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from clustering_tasks.settings.levels import LEVELS
from local.airflow_api import FINISHED, AirflowApi, Json
from local.configuration import Options
from local.errors import LocalError
from local.postgres import RESULTS
from local.progress import Progress
from local.results import show_levels
from local.sample import write_sample
from local.stack import SlowStartError, Stack
from local.stage5_receiver import Stage5Receiver, listening
from local.state import State
from stage4.job_ids import level_run_id

DAG = "cluster_all"
RUN_SECONDS = 1800
LOGS_SHOWN = 3
LOG_WIDTH = 120
# The demo decides when its DAGs run, and a fault is to be seen now.
ENVIRONMENT = {f"STAGE4_SCHEDULE_{level.upper()}": "none" for level in LEVELS} | {
    "STAGE4_RETRY_DELAY_SECONDS": "1",
}


def demo() -> None:
    """Run everything once; raises LocalError on any failure and leaves nothing running."""
    began = time.monotonic()
    console, main = wide_console(), State.open()
    prepare_sample(console, main)
    state = main.demo
    with (
        listening(state.secrets().stage5_token) as stage5,
        airflow(console, state, main.sample, stage5) as stack,
    ):
        api = stack.api()
        run = trigger(api)
        console.print(f"{DAG}: triggered {time.monotonic() - began:.0f} s after the start")
        levels = {level: (f"cluster_{level}", level_run_id(run, level)) for level in LEVELS}
        follow(console, stack, api, run, list(levels.values()))
        published = {level: api.xcom(*levels[level], "publish") for level in LEVELS}
        show_levels(console, stack.database.url(RESULTS), published)
        show_stage5(console, stage5, published)
        show_places(console, stack, published)
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")
    console.print(f"To see it in Airflow: {state.make('up')}", soft_wrap=True)
    console.print(f"To stop that again:   {state.make('down')}", soft_wrap=True)


def wide_console() -> Console:
    """The terminal; a log has no width, and gets one that suits the tables."""
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)


def prepare_sample(console: Console, state: State) -> None:
    """Write the sample Stage 3 folder, unless it is there."""
    if state.sample.exists():
        return
    console.print("Sample corpus: writing")
    counts = write_sample(state.sample)
    console.print("Sample corpus: " + ", ".join(f"{n:,} {level}" for level, n in counts.items()))


@contextmanager
def airflow(
    console: Console, state: State, sample: Path, stage5: Stage5Receiver
) -> Iterator[Stack]:
    """The demo's own stack, which reads `sample`, notifies `stage5`, and stops at the end.

    Raises:
        LocalError: it is up already: by another demo, or by hand.
    """
    if not state.sample.exists():  # where `make up` of this state looks for it
        state.sample.unlink(missing_ok=True)
        state.sample.symlink_to(sample)
    options = Options(
        folder=state.root,  # the checkout's `.env` is not the demo's
        port=0,
        environment=ENVIRONMENT | stage5.environment() | {"STAGE4_INDICES": str(sample)},
        isolated=True,
    )
    stack = Stack(state, options, report=console.print)
    try:
        started = stack.up()
    except SlowStartError:
        stack.down()
        raise
    if not started:
        raise LocalError(
            "The demo's own Airflow is up already: another `make demo` runs, or this stops it: "
            + state.make("down")
        )
    try:
        end_interrupted_runs(stack.api())
        yield stack
    finally:
        console.print("Stopping Airflow and its database")
        stack.down()


def end_interrupted_runs(api: AirflowApi) -> None:
    """Fail the runs of an earlier demo that was interrupted: new ones would wait for them."""
    for dag in (DAG, *(f"cluster_{level}" for level in LEVELS)):
        for run in api.get(f"/dags/{dag}/dagRuns", state=["queued", "running"])["dag_runs"]:
            if run["dag_run_id"].startswith("demo__"):
                api.fail_run(dag, run["dag_run_id"])


def trigger(api: AirflowApi) -> str:
    """Start `cluster_all` by one REST call; returns the run id."""
    run_id = f"demo__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    run: str = api.trigger(DAG, run_id=run_id)["dag_run_id"]
    return run


def follow(
    console: Console, stack: Stack, api: AirflowApi, run: str, levels: list[tuple[str, str]]
) -> None:
    """Show the progress until the run ends; raises LocalError unless it succeeds."""
    progress, deadline = Progress(console), time.monotonic() + RUN_SECONDS
    with progress.shown():
        while True:
            state = api.get(f"/dags/{DAG}/dagRuns/{run}")["state"]
            tasks = api.task_instances([(DAG, run), *levels])
            progress.update(tasks)
            if state in FINISHED:
                break
            stack.check()
            if time.monotonic() > deadline:
                raise LocalError(f"{DAG} has not ended in {RUN_SECONDS} s")
            time.sleep(1)
    if state != "success":
        raise LocalError(explain(api, tasks))


def explain(api: AirflowApi, tasks: list[Json]) -> str:
    """The log tails of the tasks that failed; of `cluster_all` itself only if no level did."""
    failed = [task for task in tasks if task["state"] == "failed"]
    causes = [task for task in failed if task["dag_id"] != DAG] or failed
    causes.sort(key=lambda task: (task["dag_id"], task["start_date"] or ""))
    texts = []
    for task in causes[:LOGS_SHOWN]:
        index = "" if task["map_index"] < 0 else f"[{task['map_index']}]"
        texts.append(f"{task['dag_id']}: {task['task_id']}{index}\n{api.log_tail(task)}")
    names = ", ".join(sorted({f"{task['dag_id']}.{task['task_id']}" for task in causes}))
    return "\n\n".join((*texts, f"{DAG} failed, because of {names or 'no task at all'}"))


def show_stage5(console: Console, stage5: Stage5Receiver, published: dict[str, Json]) -> None:
    """Print what the receiver got; raises LocalError if a published level is missing."""
    console.print("\n[bold]Stage 5 received[/]")
    for event in stage5.received:
        console.print(
            f"  {event['event_type']}: {event['embedding_type']}, "
            f"{event['clusters_created']} clusters, {event['outliers']} outliers, "
            f"{len(event['output_files'])} files",
            highlight=False,
        )
    arrived = {event["job_id"] for event in stage5.received}
    if missing := [level for level, it in published.items() if it["job_id"] not in arrived]:
        raise LocalError(f"Stage 5 was not told of {', '.join(missing)}")


def show_places(console: Console, stack: Stack, published: dict[str, Json]) -> None:
    """Print where the results are."""
    console.print("\n[bold]JSONL[/]")
    for result in published.values():
        console.print(f"  {result['dated_jsonl']}", soft_wrap=True, highlight=False)
    console.print("[bold]Database[/] (while the demo's Airflow is up, see below)")
    query = "SELECT level, label, size FROM stage4.current_clusters ORDER BY size DESC LIMIT 9"
    console.print(f'  {stack.database.psql(RESULTS)} -c "{query}"', soft_wrap=True, highlight=False)
