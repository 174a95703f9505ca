"""What the DAG's `publish` task does: the gate, the files and the pointer, as one act.

A crash leaves every reader with one run, whole: the database's pointer moves last, by the commit,
and trying again completes what is missing.
"""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from clustering_tasks.publication.files import PublishedRun, publish_files, published
from clustering_tasks.publication.gate import check_gate
from clustering_tasks.publication.report import Report, read_report
from clustering_tasks.settings.deployment import deployment
from stage4.database.alerts import drift
from stage4.database.pointer import locked_pointer


def publish_run(label: Mapping[str, Any]) -> dict[str, Any]:
    """Publish a run that `load` has loaded; safe to repeat.

    Args:
        label: the result of `label` (its XCom): `uri` and `files` are read.

    Returns:
        For XCom: `{"published": true, "superseded": false, "job_id": ..., "level": ...,
        "publication_id": 23, "clusters_jsonl": URI, "dated_jsonl": URI}`. Superseded, and nothing
        changed, when a run with a later `as_of` is published: the rest then speaks of that run,
        and there is no publication.

    Raises:
        AirflowFailException: the quality gate failed (every condition is named), or the run is
            not in the database.
        AirflowException: the database went away; worth another try.
        BadInputError: a file of `label`, or `published.json`, is gone or damaged.
    """
    report = read_report(label["files"]["report"])
    _pass_gate(report, check_gate(report, report.settings.publish))
    with locked_pointer(report.level) as pointer:
        load_id = pointer.find(report.job_id)
        _pass_gate(report, drift(pointer.connection, load_id, report))
        if pointer.as_of is not None and pointer.as_of > report.as_of:
            return _superseded(report.level, pointer.job_id)
        publication = publish_files(
            report,
            clusters_jsonl=label["files"]["clusters_jsonl"],
            label_uri=label["uri"],
            workspace=deployment().workspace,
            output=deployment().output_uri,
            database=True,
        )
        if publication.superseded:  # by a run of the command line, which has no database
            return _superseded(report.level, publication.current.job_id)
        number = pointer.move(load_id)
    return _result(report.level, report.job_id, publication.current, number)


def _pass_gate(report: Report, failures: list[str]) -> None:
    if failures:
        raise AirflowFailException(
            f"run {report.job_id} of {report.level} is kept, but not published: "
            + "; ".join(failures)
        )


def _superseded(level: str, job_id: str | None) -> dict[str, Any]:
    return _result(level, job_id, published(deployment().workspace, level), None)


def _result(
    level: str, job_id: str | None, current: PublishedRun | None, publication_id: int | None
) -> dict[str, Any]:
    return {
        "published": publication_id is not None,
        "superseded": publication_id is None,
        "job_id": job_id,
        "level": level,
        "publication_id": publication_id,
        "clusters_jsonl": current.clusters_jsonl if current else None,
        "dated_jsonl": current.dated_jsonl if current else None,
    }
