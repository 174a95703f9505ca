"""Files of a publication that was cut off before readers of the database saw it.

The same run's next try completes it. Where there is none, because the run was canceled or its gate
fails by now, the files would speak of a run that no reader of the database sees.
"""

import structlog

from clustering_tasks.errors import BadInputError
from clustering_tasks.publication.files import publish_files_again, published
from clustering_tasks.publication.report import Report
from clustering_tasks.settings.deployment import deployment
from stage4.database.pointer import Pointer
from stage4.database.run_records import recorded

_REPORT = """
SELECT report FROM stage4.published JOIN stage4.runs USING (level, load_id) WHERE level = %s
"""

log = structlog.get_logger()


def put_back(pointer: Pointer, candidate: str | None = None) -> str | None:
    """Let the files speak of the run that readers of the database see.

    Before a level's first publication there is no such run, and nothing is done; nor where the
    JSONL of that run is gone.

    Args:
        pointer: locked, of the level.
        candidate: job that is about to publish the files itself.

    Returns:
        the job whose files were withdrawn; None: nothing was done.

    Raises:
        BadInputError: `published.json` is damaged.
    """
    files = published(deployment().workspace, pointer.level)
    if files is None or not files.database or pointer.job_id is None:
        return None
    if files.job_id in (pointer.job_id, candidate):
        return None
    return files.job_id if _publish_again(pointer) else None


def _publish_again(pointer: Pointer) -> bool:
    row = pointer.connection.execute(_REPORT, [pointer.level]).fetchone()
    assert row is not None  # noqa: S101 - the pointer is at a run
    report = Report.model_validate(row[0])
    try:
        publish_files_again(
            report,
            label_uri=label_uri(report),
            workspace=deployment().workspace,
            output=deployment().output_uri,
        )
    except BadInputError as error:
        log.warning("the files of the published run cannot be put back", problem=str(error))
        return False
    log.info("the files are of the published run again", job_id=report.job_id)
    return True


def label_uri(report: Report) -> str | None:
    """Return a run's artefact of `label`, where the workspace still knows it."""
    record = recorded(report.level, report.job_id, "label")
    return str(record["uri"]) if record else None
