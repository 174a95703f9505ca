"""Starting jobs, acting on them, and reading them with what has come of them."""

from collections.abc import Iterable
from typing import Any

from stage4.cli.failures import errors
from stage4.cli.server import STAGE4, Server, named
from stage4.cli.settings import conf, without_effect

_RUNS_LOOKED_AT = 50

Json = dict[str, Any]


def submit(
    server: Server,
    level: str,
    pairs: Iterable[str],
    key: str | None = None,
    callback_url: str | None = None,
) -> Json:
    """Start a job.

    Args:
        server: to ask.
        level: plural name, or `all`.
        pairs: settings, `name=value`.
        key: submitted again, it starts nothing: the answer is the same job.
        callback_url: the job's own receiver of events; None: it has none.

    Returns:
        The job as Stage 4 describes it, with its place in the queue, `created`, `conf`, and
        `idle_settings`: those without effect.

    Raises:
        CommandError: settings are refused, or the server does not start it.
    """
    chosen = conf(level, pairs)
    more = {"idempotency_key": key, "callback_url": callback_url}
    given = {name: value for name, value in more.items() if value is not None}
    job = server.post(f"{STAGE4}/batch", {"level": level, "settings": chosen} | given)
    return job | {"idle_settings": without_effect(level, chosen)}


def act(server: Server, name: str, action: str, **how: bool | str | None) -> Json:
    """Pause, resume or retry a job; return it as it is then.

    Args:
        server: to ask.
        name: of the job.
        action: `pause`, `resume` or `retry`.
        how: with `pause`: `now`; with `retry`: `from`, a task. What is False or None is left out;
            a blank, as of a variable that is not set, is not.

    Raises:
        CommandError: its state does not allow it, or the user may not.
    """
    chosen = {key: value for key, value in how.items() if value not in (False, None)}
    return server.patch(named("jobs", name), {"action": action} | chosen)


def cancel(server: Server, name: str) -> Json:
    """Cancel a job for good; return it as it is then.

    Raises:
        CommandError: it has ended, or the user may not.
    """
    return server.delete(named("jobs", name))


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
