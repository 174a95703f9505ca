"""Starting a run by Airflow's REST API, and reading it by Stage 4's."""

from collections.abc import Iterable
from typing import Any

from stage4.cli.failures import errors
from stage4.cli.forecast import forecast
from stage4.cli.server import AIRFLOW, STAGE4, Server, named
from stage4.cli.settings import ALL, conf, without_effect
from stage4.job_ids import job_id

_RUNS_LOOKED_AT = 50

Json = dict[str, Any]


def submit(server: Server, level: str, pairs: Iterable[str]) -> Json:
    """Start a run.

    Args:
        server: to ask.
        level: plural name, or `all`.
        pairs: settings, `name=value`.

    Returns:
        `{"job_id": ..., "dag_id": ..., "dag_run_id": ..., "level": ..., "state": ...,
        "paused": false, "conf": {...}, "idle_settings": [...]}`, and what `forecast` knows.

    Raises:
        CommandError: settings are refused, or the server does not start it.
    """
    dag = f"cluster_{level}"
    chosen = conf(level, pairs)
    described = server.get(f"{AIRFLOW}/dags/{dag}")
    run = server.post(f"{AIRFLOW}/dags/{dag}/dagRuns", {"logical_date": None, "conf": chosen})
    job = {
        "job_id": job_id(dag, run["dag_run_id"]),
        "dag_id": dag,
        "dag_run_id": run["dag_run_id"],
        "level": None if level == ALL else level,
        "state": run["state"],
        "paused": described["is_paused"],
        "conf": chosen,
        "idle_settings": without_effect(level, chosen),
    }
    return job | forecast(server, job["job_id"], dag, job["level"])


def read(server: Server, name: str) -> Json:
    """Read a job with what has come of it.

    Returns:
        The job as Stage 4 describes it; `run`: what it has loaded, with its `quality`, None where
        that is not (or no longer) there; `errors`: see `failures.errors`.

    Raises:
        CommandError: there is no such job, or the server does not answer.
    """
    job = server.get(named("jobs", name))
    return job | {"run": _run(server, job), "errors": errors(server, job)}


def failure(job: Json) -> str:
    """Say which tasks failed, and where their logs are."""
    tasks = [task["task_id"] for task in job["tasks"] if task["states"].get("failed")]
    return (
        f"job {job['job_id']} has failed in {', '.join(tasks) or 'Airflow itself'}; the logs are "
        f"at /dags/{job['dag_id']}/runs/{job['dag_run_id']} in Airflow"
    )


def _run(server: Server, job: Json) -> Json | None:
    if job["level"] is None:
        return None
    path = f"{STAGE4}/runs"
    for run in server.rows(path, "runs", _RUNS_LOOKED_AT, level=job["level"]):
        if run["job_id"] == job["job_id"]:
            report = server.get(f"{path}/{job['level']}/{run['load_id']}")["report"]
            return run | {name: report.get(name) or {} for name in ("quality", "mode", "lineage")}
    return None
