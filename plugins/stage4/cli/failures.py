"""Why a job has failed: the errors at the ends of its failed tasks' logs."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from stage4.cli.errors import CommandError
from stage4.cli.server import AIRFLOW, Server

_MOST = 5  # a broken installation fails in every part with the same words

Json = dict[str, Any]


def errors(server: Server, job: Json) -> list[Json]:
    """Read why tasks of a job have failed.

    Args:
        server: to ask.
        job: as Stage 4 describes it.

    Returns:
        `{"task_id": ..., "map_index": -1, "message": ...}` for up to five failed tasks; the
        message is None where the log cannot be read, or holds no error.
    """
    if job["state"] != "failed":
        return []
    path = f"{AIRFLOW}/dags/{job['dag_id']}/dagRuns/{quote(job['dag_run_id'], safe='')}"
    found = server.get(f"{path}/taskInstances", state="failed", limit=_MOST)["task_instances"]
    return [
        {name: task[name] for name in ("task_id", "map_index")}
        | {"message": _message(server, f"{path}/taskInstances", task)}
        for task in found
    ]


def _message(server: Server, path: str, task: Json) -> str | None:
    try:
        log = server.get(
            f"{path}/{task['task_id']}/logs/{task['try_number']}", map_index=task["map_index"]
        )
    except CommandError:  # who may see the task may not see its log, or the log is gone
        return None
    *_, last = None, *_raised(log["content"])
    return last


def _raised(content: Sequence[Any]) -> Iterator[str]:
    for entry in content:
        detail = entry.get("error_detail") if isinstance(entry, dict) else None
        if isinstance(detail, list):  # Airflow's own form; a step passes a trace on as text
            yield from (str(error["exc_value"]) for error in detail)
