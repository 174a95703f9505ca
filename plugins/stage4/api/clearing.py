"""Clearing that leaves nothing stale: what follows a cleared task runs again, too.

Airflow clears what it is asked for. After the failed part alone, or with "only failed", `merge`
and all behind it would keep what they made without that part, and the run would end as a success.
"""

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Send

from stage4.api.airflow_app import PREFIX, AirflowApp, Answer
from stage4.job_ids import LEVEL_OF_DAG

Json = dict[str, Any]
Marker = str | list[str | int]  # a task, or one instance of a mapped one: [task id, map index]

_TASKS = re.compile(rf"{PREFIX}/dags/(?P<dag>cluster_[a-z]+)/clearTaskInstances")
_RUNS = re.compile(
    rf"{PREFIX}/dags/(?:(?:cluster_[a-z]+)/dagRuns/[^/]+/clear|(?:cluster_[a-z]+|~)/clearDagRuns)"
)
_OF_RUNS = ("run_on_latest_version",)  # a note there is the run's
_OF_TASKS = (*_OF_RUNS, "reset_dag_runs", "prevent_running_task", "note")


def clears(method: str, path: str) -> bool:
    """Whether a request clears tasks, or runs, of a level's DAG."""
    return method == "POST" and bool(_TASKS.fullmatch(path) or _RUNS.fullmatch(path))


async def clear(airflow: AirflowApp, path: str, body: bytes, send: Send) -> bool:
    """Clear with what follows, and answer; False: Airflow is to answer the request as it is.

    Args:
        airflow: to ask, in the name of the user who clears.
        path: of the request, with `/api/v2`.
        body: of the request.
        send: of the request.
    """
    asked = _object(body)
    if asked is None or not _incomplete(path, asked):
        return False
    inner = path.removeprefix(PREFIX)
    planned = await airflow.call("POST", inner, asked | {"dry_run": True})
    if not planned.ok:
        await planned.pass_on(send)
        return True
    whole_runs = bool(_RUNS.fullmatch(path))
    kept = _OF_RUNS if whole_runs else _OF_TASKS
    answers = [answer async for answer in _clear_runs(airflow, asked, kept, planned)]
    if failed := next((answer for answer in answers if not answer.ok), None):
        await failed.pass_on(send)
        return True
    if not answers or (whole_runs and not asked.get("dry_run", True)):
        return False  # nothing of ours is left to clear: Airflow answers with the runs
    await _joined(answers).pass_on(send)
    return True


@dataclass(frozen=True)
class _Cleared:
    """What Airflow would clear of one run."""

    dag: str
    run_id: str
    tasks: list[Marker]


def _object(body: bytes) -> Json | None:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None  # Airflow refuses what is no JSON
    return asked if isinstance(asked, dict) else None


def _incomplete(path: str, asked: Mapping[str, Any]) -> bool:
    if _RUNS.fullmatch(path):  # without "only failed" the whole run is cleared, or new tasks alone
        return asked.get("only_failed") is True
    some = asked.get("only_failed", True) or asked.get("only_running", False)
    return bool(some) or not asked.get("include_downstream", False)


async def _clear_runs(
    airflow: AirflowApp, asked: Mapping[str, Any], kept: Sequence[str], planned: Answer
) -> AsyncIterator[Answer]:
    for each in _by_run(planned.json()["task_instances"]):
        body = {name: asked[name] for name in kept if name in asked} | {
            "dry_run": asked.get("dry_run", True),
            "dag_run_id": each.run_id,
            "task_ids": each.tasks,
            "only_failed": False,
            "include_downstream": True,
        }
        answer = await airflow.call("POST", f"/dags/{each.dag}/clearTaskInstances", body)
        yield answer
        if not answer.ok:
            return


def _by_run(instances: list[Json]) -> list[_Cleared]:
    tasks: dict[tuple[str, str], list[Marker]] = defaultdict(list)
    for each in instances:
        if each["dag_id"] in LEVEL_OF_DAG:
            index = each.get("map_index", -1)
            marker = [each["task_id"], index] if index >= 0 else each["task_id"]
            tasks[each["dag_id"], each["dag_run_id"]].append(marker)
    return [_Cleared(dag, run_id, found) for (dag, run_id), found in tasks.items()]


def _joined(answers: list[Answer]) -> Answer:
    if len(answers) == 1:
        return answers[0]
    instances = [each for answer in answers for each in answer.json()["task_instances"]]
    content = json.dumps({"task_instances": instances, "total_entries": len(instances)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    messages: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": content, "more_body": False},
    ]
    return Answer(200, messages)
