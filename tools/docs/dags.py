"""docs/reference/dags.md, api.md and errors.md: DAGs, REST API and errors of a fresh installation.

`PYTHONPATH=.:plugins python -m tools.docs.dags` writes them; `--check` fails if one differs.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustering_tasks.settings.levels import LEVELS
from tools.docs.settings import page, run, table

if TYPE_CHECKING:
    from airflow.sdk import DAG

PAGE = "docs/reference/dags.md"
COMMAND = "python -m tools.docs.dags"


def main() -> int:
    """Write or check the pages; returns the exit code."""
    with tempfile.TemporaryDirectory() as empty:
        _forget_this_installation(Path(empty))
        return run(_pages)


def _pages() -> dict[str, str]:
    # Imported here, in what is now a fresh installation.
    from stage4.api.app import build
    from stage4.api.openapi import describe
    from tools.docs.api import PAGE as API_PAGE
    from tools.docs.api import api_page
    from tools.docs.errors import PAGE as ERRORS_PAGE
    from tools.docs.errors import errors_page

    return {
        PAGE: dags_page(),
        API_PAGE: api_page(COMMAND, describe(build())),
        ERRORS_PAGE: errors_page(COMMAND),
    }


def dags_page() -> str:
    """Describe the DAGs: what starts them, and their tasks."""
    from stage4 import dag_factory

    dags = {level: dag_factory.level_dag(level, None) for level in LEVELS.values()}
    everything = dag_factory.all_levels_dag(None)
    housekeeping = dag_factory.housekeeping_dag(None)
    deletion = dag_factory.delete_document_dag(None)
    back = dag_factory.roll_back_dag(None)
    events = dag_factory.send_events_dag(None)
    received = dag_factory.receive_events_dag(None)
    return page(
        COMMAND,
        "DAGs",
        f"One DAG for each level, alike but for their schedules; `{everything.dag_id}`, which "
        f"starts them all; `{housekeeping.dag_id}`, which removes what is old (cron "
        f"`{dag_factory.HOUSEKEEPING}`, UTC); `{deletion.dag_id}`, which the REST API starts "
        f"(and cron `{dag_factory.DELETIONS}`, UTC); `{back.dag_id}`, which an operator "
        f"starts; `{received.dag_id}`, which starts the levels' runs for events on the assets and "
        f"for [Stage 3's own](../EVENTS.md#from-stage-3) (at each, and cron "
        f"`{dag_factory.RECEIVE_EVENTS}`, UTC); and, where events have a receiver, "
        f"`{events.dag_id}` (cron `{dag_factory.SEND_EVENTS}`, and each publication). One run of a "
        "DAG at a time; no run is made up for a missed time.",
        "## What starts a level's run, besides the form and REST",
        table(
            ("DAG", "cron, UTC", "event on asset, by `receive_events`", "its own asset"),
            _starts(dags.values()),
        ),
        "## Tasks of `cluster_<level>`",
        _tasks(next(iter(dags.values()))),
        f"## Tasks of `{everything.dag_id}`",
        _tasks(everything),
        f"## Tasks of `{housekeeping.dag_id}`",
        _tasks(housekeeping),
        f"## Tasks of `{deletion.dag_id}`",
        _tasks(deletion),
        f"## Tasks of `{back.dag_id}`",
        _tasks(back),
        f"## Tasks of `{events.dag_id}`",
        _tasks(events),
        f"## Tasks of `{received.dag_id}`",
        _tasks(received),
        "Pools, retries and schedules are [settings of the installation](deployment.md); "
        "the form's fields are the [settings of a run](settings.md).",
    )


def _forget_this_installation(folder: Path) -> None:
    """Read the defaults only: no variable, no `.env` file, no airflow.cfg of this machine."""
    for name in [name for name in os.environ if name.startswith(("STAGE4_", "AIRFLOW"))]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(folder)
    os.chdir(folder)


def _starts(dags: Iterable["DAG"]) -> Iterator[tuple[str, ...]]:
    for dag, level in zip(dags, LEVELS.values(), strict=True):
        takes = _uris(dag.get_task("snapshot").inlets)
        gives = _uris(dag.get_task("publish").outlets)
        yield f"`{dag.dag_id}`", f"`{level.schedule}`", takes, gives


def _uris(assets: Iterable[Any]) -> str:
    return ", ".join(f"`{asset.uri}`" for asset in assets)


def _tasks(dag: "DAG") -> str:
    rows = (
        (
            f"`{task.task_id}`" + (" (mapped)" if task.is_mapped else ""),
            ", ".join(f"`{name}`" for name in sorted(task.upstream_task_ids)),
            f"`{task.trigger_rule.value}`",
            f"`{task.pool}`",
            task.retries,
            task.operator_name,
        )
        for task in dag.tasks
    )
    return table(("task", "after", "starts when these are", "pool", "retries", "operator"), rows)


if __name__ == "__main__":
    sys.exit(main())
