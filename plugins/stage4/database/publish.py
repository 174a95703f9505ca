"""What the DAG's `publish` task does: the gate, the files and the pointer, as one act.

A crash leaves every reader with one run, whole: the database's pointer moves last, by the commit,
and trying again completes what is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.identity.published import find_base, pointer_to_restore
from clustering_tasks.publication.completion import completion_event
from clustering_tasks.publication.files import PublishedRun, publish_files, published
from clustering_tasks.publication.gate import check_gate
from clustering_tasks.publication.report import Report, read_report
from clustering_tasks.settings.deployment import deployment
from stage4.database import outbox
from stage4.database.alerts import drift
from stage4.database.job_controls import refuse_canceled
from stage4.database.job_events import Published
from stage4.database.outbox import JobName
from stage4.database.pointer import Pointer, locked_pointer
from stage4.database.run_records import recorded

# Others publish while this run's ids are made again; whoever does so three times is in a loop.
_ATTEMPTS = 3

Json = dict[str, Any]
Again = Callable[[int], Mapping[str, Any]]

log = structlog.get_logger()


def publish_run(label: Mapping[str, Any], again: Again | None = None) -> Json:
    """Publish a run that `load` has loaded; safe to repeat.

    Its ids go on from those of the run that was published when `identify` was performed. Where
    another one is published by now, the ids are made again first.

    Args:
        label: the result of `label` (its XCom): `uri` and `files` are read.
        again: performs `identify` and what reads it, loads the run instead of the load of this
            number, and returns the result of `label`; None: nobody can.

    Returns:
        For XCom: `{"published": true, "superseded": false, "job_id": ..., "level": ...,
        "publication_id": 23, "changes": {"base_load_id": 16, "load_id": 17, "counts": {"born": 2,
        ...}}, "clusters_jsonl": URI, "dated_jsonl": URI, "label": {"uri": ..., "files": {...}}}`;
        `changes` is None for a level's first publication. Superseded, and nothing changed, when a
        run with a later `as_of` is published: the rest then speaks of that run, and there is no
        publication.

    Raises:
        AirflowFailException: the quality gate failed (every condition is named), the run is not in
            the database, or its job was canceled.
        AirflowException: the database went away, or other runs were published all the while; worth
            another try.
        BadInputError: a file of `label` or `identify`, or `published.json`, is gone or damaged.
    """
    for _ in range(_ATTEMPTS):
        done, load_id = _publish(label)
        if done is not None:
            return done | {"label": {name: label[name] for name in ("uri", "files")}}
        if again is None:
            break
        log.info("another run was published meanwhile: the ids are made again", load_id=load_id)
        label = again(load_id)
    raise AirflowException(
        "the ids of this run go on from those of a run that is no longer the published one: clear "
        "`identify` with its downstream tasks"
    )


def _publish(label: Mapping[str, Any]) -> tuple[Json | None, int]:
    """Publish a run unless its ids are to be made again: then None, and the number of its load."""
    report = read_report(label["files"]["report"])
    _pass_gate(report, check_gate(report, report.settings.publish))
    with locked_pointer(report.level) as pointer:
        refuse_canceled(pointer.connection, report.job_id)
        load_id = pointer.find(report.job_id)
        _pass_gate(report, drift(pointer.connection, load_id, report))
        if pointer.as_of is not None and pointer.as_of > report.as_of:
            return _superseded(report.level, pointer.job_id), load_id
        _refuse_lost_ids(pointer, report.job_id)
        if not _goes_on_from_the_published(report):
            return None, load_id
        return _publish_load(pointer, load_id, report, label), load_id


def _publish_load(pointer: Pointer, load_id: int, report: Report, label: Mapping[str, Any]) -> Json:
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
    moved = pointer.changes(number)
    changes = None if moved is None else asdict(moved)
    _write_completion(pointer, report, publication.current, number, changes)
    result = _result(report.level, report.job_id, publication.current, number)
    return result | {"changes": changes}


def _write_completion(
    pointer: Pointer, report: Report, files: PublishedRun, number: int, changes: Json | None
) -> None:
    """Write the event of the publication, unless it is written: one act with the pointer's move."""
    paths = [files.clusters_jsonl, files.dated_jsonl]
    event = completion_event(report, paths, changes, outbox.server())
    fact = Published(datetime.now(UTC), number, dict(event))
    outbox.note(pointer.connection, JobName(report.job_id, report.level), [fact])


def _goes_on_from_the_published(report: Report) -> bool:
    """Compare the ids that `identify` went on from with those that it would go on from now."""
    identify = recorded(report.level, report.job_id, "identify")
    if identify is None:  # of a version without lasting ids
        return True
    workspace = UPath(deployment().workspace)
    base = find_base(workspace, report.level, report.job_id, report.as_of)
    used = tuple(identify["metrics"][name] for name in ("base", "base_digest"))
    return used == ((base.name, base.digest) if base else (None, None))


def _refuse_lost_ids(pointer: Pointer, job_id: str) -> None:
    """Refuse to publish over a run of the database that the workspace knows nothing of."""
    workspace = deployment().workspace
    if pointer.job_id in (None, job_id) or published(workspace, pointer.level) is not None:
        return
    lost = pointer_to_restore(UPath(workspace), pointer.level, "is gone")
    raise BadInputError(
        f"{lost}. To begin with new ids although run {pointer.job_id} is published, set `load_id` "
        f"of {pointer.level} to NULL in the table stage4.published"
    )


def _pass_gate(report: Report, failures: list[str]) -> None:
    if failures:
        raise AirflowFailException(
            f"run {report.job_id} of {report.level} is kept, but not published: "
            + "; ".join(failures)
        )


def _superseded(level: str, job_id: str | None) -> Json:
    return _result(level, job_id, published(deployment().workspace, level), None)


def _result(
    level: str, job_id: str | None, current: PublishedRun | None, publication_id: int | None
) -> Json:
    return {
        "published": publication_id is not None,
        "superseded": publication_id is None,
        "job_id": job_id,
        "level": level,
        "publication_id": publication_id,
        "changes": None,
        "clusters_jsonl": current.clusters_jsonl if current else None,
        "dated_jsonl": current.dated_jsonl if current else None,
    }
