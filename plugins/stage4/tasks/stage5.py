"""Tasks that notify Stage 5."""

from collections.abc import Mapping
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.deployment import deployment
from stage4.tasks.errors import airflow_errors

log = structlog.get_logger()

Json = dict[str, Any]


def notify_stage5(label: Mapping[str, Any], published: Mapping[str, Any]) -> Json:
    """Tell Stage 5, if there is one, that a run is published.

    Raises:
        AirflowSkipException: no connection is set, or Stage 5 is optional and did not take the
            event: the run succeeds, yet this task does not look as if it had.
        AirflowException: Stage 5 is required and did not take the event (AirflowFailException
            when it refused it).
    """
    from stage4.clients import stage5

    conn_id = stage5_connection()
    files = [published["clusters_jsonl"], published["dated_jsonl"]]
    with airflow_errors():
        report = read_report(label["files"]["report"])
        event = stage5.completion_event(report, files, published["changes"])
    key = stage5.publication_key(event["job_id"], published["publication_id"])
    return deliver(event, conn_id, key)


def notify_roll_back(rolled_back: Mapping[str, Any]) -> Json:
    """Tell Stage 5, if there is one, that a run is published again.

    Args:
        rolled_back: the result of `roll_back`.

    Raises:
        AirflowSkipException, AirflowException: as `notify_stage5`.
    """
    from stage4.clients import stage5
    from stage4.database import roll_back

    conn_id = stage5_connection()
    report = roll_back.stored_report(rolled_back["load_id"])
    files = [rolled_back["clusters_jsonl"], rolled_back["dated_jsonl"]]
    number = rolled_back["publication_id"]
    event = stage5.rolled_back_event(report, files, number, rolled_back["changes"])
    return deliver(event, conn_id, stage5.publication_key(report.job_id, number))


def notify_deletion() -> Json:
    """Tell Stage 5, if there is one, which clusters have changed and which are gone.

    Raises:
        AirflowSkipException: no connection is set, or Stage 5 is optional and did not take an
            event: the next run of the DAG sends it again.
        AirflowException: Stage 5 is required and did not take an event.
    """
    from stage4.deletions import events

    conn_id = stage5_connection()
    waiting = events.undelivered()
    for number, event in waiting:
        deliver(event, conn_id, f"{event['job_id']}.deletion.{number}")
        events.delivered(number)
    return {"events": len(waiting)}


def stage5_connection() -> str:
    """Name the Airflow connection of Stage 5.

    Raises:
        AirflowSkipException: none is set.
    """
    conn_id = deployment().stage5_conn_id
    if conn_id is None:
        raise AirflowSkipException("STAGE4_STAGE5_CONN_ID is not set: nobody to tell")
    return conn_id


def deliver(event: Mapping[str, Any], conn_id: str, key: str) -> Json:
    """Send an event to Stage 5; a failure fails the task only where Stage 5 is required."""
    from stage4.clients import stage5

    try:
        return stage5.deliver(event, conn_id, key)
    except AirflowException as error:
        if deployment().stage5_required:
            raise
        log.exception("Stage 5 was not told; STAGE4_STAGE5_REQUIRED is off, so the run goes on")
        raise AirflowSkipException(f"not delivered: {error}") from error
