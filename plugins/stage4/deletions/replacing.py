"""Loading the runs that `redact` has written again, and moving readers to them."""

from collections.abc import Iterable
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from psycopg.types.json import Jsonb
from upath import UPath

from clustering_tasks.deleted_documents.reload_marks import changed_runs
from clustering_tasks.publication.files import PublishedRun, published
from clustering_tasks.publication.redaction import redact_published
from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.deployment import deployment
from stage4.database.connection import Database, database
from stage4.database.load import load_run
from stage4.database.pointer import Pointer, locked_pointer
from stage4.database.run_records import recorded_files
from stage4.database.tombstones import tombstones_of
from stage4.deletions.events import event_of

# Runs to be loaded again; not those that have been, and only wait until nobody reads them.
_PENDING = """
SELECT load_id, job_id FROM stage4.runs old
WHERE level = %(level)s AND deleting IS NOT NULL AND (
    load_id = (SELECT load_id FROM stage4.published WHERE level = %(level)s)
    OR NOT EXISTS (
        SELECT FROM stage4.runs new WHERE new.level = old.level AND new.job_id = old.job_id
        AND new.load_id > old.load_id
    )
)
ORDER BY load_id
"""
_CHANGED = """
UPDATE stage4.runs SET deleting = coalesce(deleting, '{"changed": [], "removed": []}')
WHERE level = %(level)s AND job_id = ANY(%(jobs)s)
"""
_PUBLISHED = """
SELECT load_id, deleting FROM stage4.published JOIN stage4.runs USING (level, load_id)
WHERE level = %s
"""


def reload_level(level: str) -> dict[str, Any]:
    """Replace a level's runs that lack a deleted document, behind the step `redact`.

    Readers see the runs as they were hidden, then the new ones whole. Safe to repeat.

    Returns:
        For XCom: `{"level": ..., "loaded": 2, "removed_runs": 0, "files": 3, "removed_files": 0}`.

    Raises:
        BadInputError: the published run cannot be made again, because its artefacts are gone;
            everything else is done, and the message says what to do.
        AirflowFailException, AirflowException: as `load_run`.
    """
    where = deployment()
    with database() as connection:
        deleted = tombstones_of(connection)
        _note_changed(connection, level)
        pending = connection.execute(_PENDING, {"level": level}).fetchall()
    loaded = [load_id for load_id, job in pending if _load_again(level, load_id, job)]
    removed = _remove_runs(level, [load_id for load_id, _ in pending if load_id not in loaded])
    with locked_pointer(level) as pointer:
        rewritten, gone = redact_published(
            level, deleted, workspace=where.workspace, output=where.output_uri
        )
        _move(pointer, published(where.workspace, level))
    return {
        "level": level,
        "loaded": len(loaded),
        "removed_runs": removed,
        "files": len(rewritten),
        "removed_files": len(gone),
    }


def _note_changed(connection: Database, level: str) -> None:
    """Note which runs `redact` has changed, those too of which the request changed no row."""
    marks = changed_runs(UPath(deployment().workspace), level)
    connection.execute(_CHANGED, {"level": level, "jobs": list(marks)})
    for mark in marks.values():
        mark.unlink(missing_ok=True)


def _load_again(level: str, load_id: int, job: str) -> bool:
    """Load what `redact` made of a run; False where it could make nothing."""
    files = recorded_files(level, job, "identify", "label", "map")
    needed = {"report", "clusters_csv", "members_csv", "clusters_jsonl"}
    needed |= files.keys() & {"identities_csv", "lineage_csv"}
    if not all(name in files and UPath(files[name]).exists() for name in needed):
        return False
    load_run(files, read_report(files["report"]), instead_of=load_id)
    return True


def _remove_runs(level: str, load_ids: Iterable[int]) -> int:
    """Remove runs that cannot be made again, as retention would; never the published one."""
    with locked_pointer(level) as pointer:
        removed = pointer.connection.execute(
            "DELETE FROM stage4.runs WHERE load_id = ANY(%s) AND load_id IS DISTINCT FROM"
            " (SELECT load_id FROM stage4.published WHERE level = %s)",
            [list(load_ids), level],
        )
        return removed.rowcount


def _move(pointer: Pointer, current: PublishedRun | None) -> None:
    """Let readers see the new load of the published run, and note what Stage 5 is to be told."""
    row = pointer.connection.execute(_PUBLISHED, [pointer.level]).fetchone()
    if row is None or row[1] is None or pointer.job_id is None:
        return
    old, deleting = row
    new = pointer.find(pointer.job_id)
    if new == old:
        raise AirflowFailException(
            f"the published run of {pointer.level} cannot be made again without the document, "
            f"because its artefacts are gone; it stays as it was hidden: run `cluster_"
            f"{pointer.level}` again, then `delete_document`"
        )
    event = event_of(pointer, pointer.job_id, old, new, deleting, current)
    pointer.connection.execute(
        "INSERT INTO stage4.deletion_events (level, event) VALUES (%s, %s)",
        [pointer.level, Jsonb(event)],
    )
    pointer.move(new, "delete_document")
