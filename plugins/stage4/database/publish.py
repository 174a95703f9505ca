"""What the DAG's `publish` task does: the gate, the files and the pointer, as one act.

A crash leaves every reader with one run, whole: the database's pointer moves last, by the commit,
and trying again completes what is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
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
from clustering_tasks.publication.report import GoesOnFrom, Report, read_report
from clustering_tasks.settings.deployment import deployment
from stage4.database import outbox
from stage4.database.alerts import drift
from stage4.database.cut_off import put_back
from stage4.database.job_controls import refuse_canceled
from stage4.database.job_events import Published
from stage4.database.outbox import JobName
from stage4.database.pointer import Pointer, locked_pointer
from stage4.database.publication_order import publish_in_order
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
        run = _Candidate(pointer, report, label)
        outcome = publish_in_order(run)
        done = None if outcome.verdict == "ids_again" else run.result(outcome.publication_id)
    return done, outcome.load_id


@dataclass
class _Candidate:
    """A run that is to be published, by rows of the database and files of the workspace.

    Attributes:
        pointer: of the run's level, locked.
        report: of the run.
        label: the result of `label`.
        files: what `published.json` says behind `publish_files`; None: before it.
        changes: what the publication has changed; None: none so far, or the first of the level.
    """

    pointer: Pointer
    report: Report
    label: Mapping[str, Any]
    files: PublishedRun | None = None
    changes: Json | None = None

    def put_back_files(self) -> None:
        put_back(self.pointer, self.report.job_id)

    def refuse_canceled(self) -> None:
        refuse_canceled(self.pointer.connection, self.report.job_id)

    def find_load(self) -> int:
        return self.pointer.find(self.report.job_id)

    def pass_gate(self, load_id: int) -> None:
        _pass_gate(self.report, drift(self.pointer.connection, load_id, self.report))

    def is_superseded(self) -> bool:
        return self.pointer.as_of is not None and self.pointer.as_of > self.report.as_of

    def refuse_lost_ids(self) -> None:
        """Refuse to publish over a run of the database that the workspace knows nothing of."""
        known = self.pointer.job_id in (None, self.report.job_id)
        if known or self._shown_files() is not None:
            return
        lost = pointer_to_restore(UPath(deployment().workspace), self.report.level, "is gone")
        raise BadInputError(
            f"{lost}. To begin with new ids although run {self.pointer.job_id} is published, set "
            f"`load_id` of {self.report.level} to NULL in the table stage4.published"
        )

    def goes_on_from_the_published(self, load_id: int) -> bool:
        """Compare the base now with that of the registry, of the JSONL and of the load.

        They differ from each other where making the ids again was cut off.
        """
        report = self.report
        identify = recorded(report.level, report.job_id, "identify")
        if identify is None:  # of a version without lasting ids
            return True
        base = find_base(UPath(deployment().workspace), report.level, report.job_id, report.as_of)
        now = GoesOnFrom(base=base and base.name, base_digest=base and base.digest)
        registry = GoesOnFrom.model_validate(identify["metrics"])
        made = (registry, report.goes_on_from, self.pointer.goes_on_from(load_id))
        return all(each in (None, now) for each in made)

    def publish_files(self) -> bool:
        publication = publish_files(
            self.report,
            clusters_jsonl=self.label["files"]["clusters_jsonl"],
            label_uri=self.label["uri"],
            workspace=deployment().workspace,
            output=deployment().output_uri,
            database=True,
        )
        self.files = publication.current
        return not publication.superseded

    def move_pointer(self, load_id: int) -> int:
        return self.pointer.move(load_id)

    def write_completion(self, publication_id: int) -> None:
        assert self.files is not None  # noqa: S101 - they have just been published
        paths = [self.files.clusters_jsonl, self.files.dated_jsonl]
        moved = self.pointer.changes(publication_id)
        self.changes = None if moved is None else asdict(moved)
        event = completion_event(self.report, paths, self.changes, outbox.server())
        fact = Published(datetime.now(UTC), publication_id, dict(event))
        name = JobName(self.report.job_id, self.report.level)
        outbox.note(self.pointer.connection, name, [fact])

    def result(self, publication_id: int | None) -> Json:
        """Describe for XCom what readers see now; without a publication, the run that is later."""
        files = self.files or self._shown_files()
        job_id = self.report.job_id if publication_id is not None else self._later_job(files)
        return {
            "published": publication_id is not None,
            "superseded": publication_id is None,
            "job_id": job_id,
            "level": self.report.level,
            "publication_id": publication_id,
            "changes": self.changes,
            "clusters_jsonl": files.clusters_jsonl if files else None,
            "dated_jsonl": files.dated_jsonl if files else None,
        }

    def _later_job(self, files: PublishedRun | None) -> str | None:
        if self.is_superseded() or files is None:
            return self.pointer.job_id
        return files.job_id  # a run of the command line, which has no database

    def _shown_files(self) -> PublishedRun | None:
        return published(deployment().workspace, self.report.level)


def _pass_gate(report: Report, failures: list[str]) -> None:
    if failures:
        raise AirflowFailException(
            f"run {report.job_id} of {report.level} is kept, but not published: "
            + "; ".join(failures)
        )
