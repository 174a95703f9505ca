"""The task of the DAG `receive_events` that decides which runs Stage 3's events start."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from stage4.assets import stage3_asset
from stage4.job_ids import dag_of
from stage4.other_runs import state_of_run
from stage4.tasks.errors import airflow_errors

# Of an asset's events those before the newest stored one are read again: what Airflow committed
# late is among them, and known ones count once.
OVERLAP = timedelta(hours=1)
FIRST_LOOK = timedelta(days=1)

Json = dict[str, Any]


def request_runs(ti: Any, inlet_events: Mapping[Any, Any]) -> list[Json]:
    """Take the events of the assets, and decide for each level with an event or an open request.

    Args:
        ti: the task instance, by which Airflow is asked about runs.
        inlet_events: of the task's context: the events of the assets `x-stage3://<level>`.

    Returns:
        The runs that Airflow has to be asked to make, as arguments of `TriggerDagRunOperator`.

    Raises:
        AirflowException: the database is away; the next run of the DAG goes on.
    """
    from stage4.database import stage3_events
    from stage4.database.connection import database
    from stage4.events.stage3.requests import request_run

    with airflow_errors(), database() as connection:
        newest = stage3_events.newest_of_assets(connection)
        since = datetime.now(UTC) - FIRST_LOOK if newest is None else newest - OVERLAP
        stage3_events.store(connection, _of_assets(inlet_events, since))
        wanted = []
        for level in stage3_events.open_levels(connection):
            fewest = deployment().min_embeddings
            decision = request_run(connection, level, partial(state_of_run, ti), fewest)
            if decision.start is not None:
                wanted.append({"trigger_dag_id": dag_of(level), "trigger_run_id": decision.start})
    return wanted


def _of_assets(inlet_events: Mapping[Any, Any], since: datetime) -> Iterator[Any]:
    from stage4.database.stage3_events import Arrival

    for name, level in LEVELS.items():
        for event in inlet_events[stage3_asset(level)].after(since.isoformat()):
            at = event.timestamp
            # A new database of Airflow counts from 1 again.
            job = f"{event.id} at {at.astimezone(UTC).isoformat()}"
            yield Arrival("asset", job, name, _embeddings(event.extra), "asset", at)


def _embeddings(extra: Mapping[str, Any] | None) -> int | None:
    """Read how many embeddings an event on an asset announces; None: it does not say."""
    found = (extra or {}).get("total_embeddings")
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 <= found < 2**63 else None
