"""When a job will be done, as far as the jobs before it tell."""

from datetime import datetime
from statistics import median
from typing import Any

from stage4.cli.errors import CommandError
from stage4.cli.server import STAGE4, Server
from stage4.cli.watch import FINISHED

_LOOKED_AT = 100

Json = dict[str, Any]
UNKNOWN: Json = {"jobs_before": None, "expected_seconds": None}


def forecast(server: Server, job_id: str, dag: str, level: str | None) -> Json:
    """Tell what stands before a job, and how long jobs of its DAG have taken.

    Args:
        server: to ask.
        job_id: of the job.
        dag: whose jobs run one after another.
        level: plural name; None: all.

    Returns:
        `{"jobs_before": 0, "expected_seconds": 95.0}`: unfinished jobs of the DAG that were there
        before, and the median duration of the last completed ones, without what they waited. Null
        is what is not known: a job that was started is no failure because of it.
    """
    try:
        jobs = list(server.rows(f"{STAGE4}/jobs", "jobs", _LOOKED_AT, level=level))
    except CommandError:
        return UNKNOWN
    others = [job for job in jobs if job["dag_id"] == dag and job["job_id"] != job_id]
    seconds = [_seconds(job) for job in others if job["state"] == "completed"]
    return {
        "jobs_before": sum(job["state"] not in FINISHED for job in others),
        "expected_seconds": median(seconds) if seconds else None,
    }


def _seconds(job: Json) -> float:
    started, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "ended_at"))
    return (ended - started).total_seconds()
