"""Integers that no task of Airflow can be given, refused when a run is made.

Airflow hands a run's conf to its tasks as MessagePack, which ends at 64 bits: a task with a larger
integer dies at its start, without a log, at every try. Airflow checks the params of a DAG alone,
not what else a conf holds. This cluster policy is called when a run's task instances are made, by
whatever made the run: the command line, a backfill, another DAG.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airflow.exceptions import ParamValidationError
from airflow.policies import hookimpl

from clustering_tasks.settings.groups.base import LARGEST
from stage4.job_ids import CLUSTERING_DAGS

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun  # noqa: TID251 - a type

GUARDED = {
    *CLUSTERING_DAGS,
    *("roll_back", "delete_document", "housekeeping", "send_events", "receive_events"),
}


def too_large(value: Any, path: str = "") -> Iterator[str]:
    """Yield the place of each integer in a JSON value that 64 bits cannot hold."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from too_large(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from too_large(each, f"{path}[{place}]")
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield path


def complaint(places: Iterable[str]) -> str | None:
    """Word the refusal of the integers at these places; None: there are none."""
    named = ", ".join(places)
    return f"{named}: an integer of 64 bits is at most {LARGEST}" if named else None


class LargeIntegers:
    """The policy; it acts on new runs of this package's DAGs alone."""

    @staticmethod
    @hookimpl
    def task_instance_mutation_hook(dag_run: "DagRun | None") -> None:
        """Refuse a new run whose conf no task could be given.

        Raises:
            ParamValidationError: with the places of the integers; the run is not made.
        """
        # Of runs that have started, the scheduler makes instances, which an exception would end.
        if dag_run is None or dag_run.dag_id not in GUARDED or dag_run.state != "queued":
            return
        if wrong := complaint(too_large({"conf": dag_run.conf})):
            raise ParamValidationError(wrong)
