"""What a DAG run is called outside Airflow, and which moment its clusters stand for."""

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

from clustering_tasks.settings.levels import LEVELS

ALL_LEVELS_DAG = "cluster_all"
LEVEL_DAG_PREFIX = "cluster_"
STAGE3_PREFIX = "stage3__"  # of the runs that events of Stage 3 have asked for
LEVEL_OF_DAG = {f"{LEVEL_DAG_PREFIX}{level}": level for level in LEVELS}
CLUSTERING_DAGS = (*LEVEL_OF_DAG, ALL_LEVELS_DAG)

_LONGEST_RUN_ID = 120  # the job id is part of file names, of which 255 bytes is the limit
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


class Moment(Protocol):
    """The part of an Airflow DAG run that `as_of` reads."""

    @property
    def data_interval_end(self) -> datetime | None:
        """End of the run's data interval; None for a run that was triggered."""

    @property
    def run_after(self) -> datetime:
        """Earliest moment at which the run may start; every run has one."""


def dag_of(level: str) -> str:
    """Name the DAG of a level, or of `all` of them."""
    return f"{LEVEL_DAG_PREFIX}{level}"


def job_id(dag_id: str, run_id: str) -> str:
    """Name a run so that the name can be a folder, a URI's last part and a key.

    Airflow allows `:`, `+` and `~` in run ids. They become `-`, a very long one is cut, and a
    digest keeps two run ids that differ only there apart.
    """
    safe = _UNSAFE.sub("-", run_id)[:_LONGEST_RUN_ID]
    if safe != run_id:
        safe = f"{safe}-{sha256(run_id.encode()).hexdigest()[:6]}"
    return f"{dag_id}.{safe}"


def level_run_id(run_id: str, level: str) -> str:
    """Name the run of a level that a run of all levels starts."""
    return f"{run_id}__{level}"


def level_runs(run_id: str) -> list[tuple[str, str]]:
    """Name the runs that a run of all levels starts, by DAG and run id."""
    return [(dag, level_run_id(run_id, level)) for dag, level in LEVEL_OF_DAG.items()]


def governing_ids(dag_id: str, run_id: str) -> list[str]:
    """Name the jobs whose pause or end holds for a run, too: itself, and one of all levels."""
    ids = [job_id(dag_id, run_id)]
    ending = level_run_id("", dag_id.removeprefix(LEVEL_DAG_PREFIX))
    if run_id.endswith(ending):
        ids.append(job_id(ALL_LEVELS_DAG, run_id.removesuffix(ending)))
    return ids


def as_of(dag_run: Moment) -> datetime:
    """Tell the moment (UTC) that a run's clusters stand for; the same when it is cleared."""
    return (dag_run.data_interval_end or dag_run.run_after).astimezone(UTC)
