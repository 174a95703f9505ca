"""What a DAG run is called outside Airflow, and which moment its clusters stand for."""

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

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


def job_id(dag_id: str, run_id: str) -> str:
    """Name a run so that the name can be a folder, a URI's last part and a key.

    Airflow allows `:`, `+` and `~` in run ids. They become `-`, a very long one is cut, and a
    digest keeps two run ids that differ only there apart.
    """
    safe = _UNSAFE.sub("-", run_id)[:_LONGEST_RUN_ID]
    if safe != run_id:
        safe = f"{safe}-{sha256(run_id.encode()).hexdigest()[:6]}"
    return f"{dag_id}.{safe}"


def as_of(dag_run: Moment) -> datetime:
    """Tell the moment (UTC) that a run's clusters stand for; the same when it is cleared."""
    return (dag_run.data_interval_end or dag_run.run_after).astimezone(UTC)
