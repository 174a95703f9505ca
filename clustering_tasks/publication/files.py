"""The published files of a level: the names of the JSONL, and `published.json`.

In `<output>`, `clustered_<level>_<job>.jsonl` belongs to one run, and
`clustered_<level>_<date>.jsonl` holds the newest published run of that UTC day.
`<workspace>/<level>/published.json` names the run that readers see, and the registry of ids that
the next run goes on from. Every file is replaced whole, in an order in which a crash at any point
leaves each name with one run's complete content, and publishing again completes what is missing.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    ValidationError,
)
from upath import UPath

from clustering_tasks.errors import BadInputError, explaining
from clustering_tasks.identity.published import (
    begin_first_publication,
    end_first_publication,
    find_published,
    pointer_to_restore,
    publish_registry,
)
from clustering_tasks.publication.report import JobId, LevelName, Report
from clustering_tasks.workspace.cleanup import IN_USE
from clustering_tasks.workspace.storage import (
    copy_whole,
    is_draft,
    make_local_folder,
    read_json,
    read_path,
    to_json,
    write_atomically,
)

_OUTPUT = "--output, STAGE4_OUTPUT"


class PublishedRun(BaseModel):
    """`published.json`: the run of a level that readers see."""

    model_config = ConfigDict(frozen=True)

    job_id: JobId
    level: LevelName
    as_of: AwareDatetime
    label_uri: str | None
    clusters_jsonl: str
    dated_jsonl: str
    identities: str | None = None  # None: of a version without lasting ids
    database: bool = False  # whether readers find the run in the database, too


@dataclass(frozen=True)
class Publication:
    """What `publish_files` did.

    Attributes:
        superseded: a run with a later `as_of` is published; nothing was written.
        current: what `published.json` says now.
    """

    superseded: bool
    current: PublishedRun


def publish_files(
    report: Report,
    *,
    clusters_jsonl: str,
    label_uri: str,
    workspace: str,
    output: str,
    database: bool = False,
) -> Publication:
    """Publish a run's JSONL and its registry of ids, and move `published.json` to them.

    Safe to repeat.

    The gate is the caller's business. Two publishers of one level must not run at a time: the DAG
    holds the database's row of the level meanwhile.

    Args:
        report: of the run.
        clusters_jsonl: URI of the file to publish, from `label`'s result.
        label_uri: the artefact of `label`, from its result; kept in the pointer.
        workspace: URI.
        output: URI of the folder of published files.
        database: whether the run is published in the database at the same time.

    Returns:
        What was done; superseded, and nothing written, when a run with a later `as_of` is
        published already.

    Raises:
        BadInputError: `clusters_jsonl` or the run's registry is gone, or `published.json` is
            damaged.
        ResourcesError: the output cannot be written.
    """
    current = published(workspace, report.level)
    if current is not None and current.as_of > report.as_of:
        return Publication(superseded=True, current=current)
    if current is None:
        begin_first_publication(read_path(workspace), report.level, report.job_id)
    identities = publish_registry(read_path(workspace), report.level, report.job_id)
    run = _described(report, label_uri, read_path(output), identities, database=database)
    # `published.json` last: until it names the run, a retry writes all of them again.
    make_output(read_path(output))
    with explaining(_OUTPUT):
        for target in (run.clusters_jsonl, run.dated_jsonl):
            copy_whole(read_path(clusters_jsonl), read_path(target))
    write_published(workspace, run)
    return Publication(superseded=False, current=run)


def make_output(folder: UPath) -> None:
    """Make the folder of the published files.

    Raises:
        ResourcesError: it cannot be made.
    """
    make_local_folder(folder, _OUTPUT)


def publish_files_again(
    report: Report, *, label_uri: str | None, workspace: str, output: str
) -> PublishedRun:
    """Publish the JSONL of a run that was published before, whatever is published now.

    `published.json` names the registry of ids that the run has left, too, so that the next run goes
    on from that.

    The files that bear the dates of later days are removed, because they hold the runs that are
    being withdrawn: the newest date names what readers see. Those runs' own files stay. Safe to
    repeat; two publishers of one level must not run at a time.

    Args:
        report: of the run to publish again.
        label_uri: its artefact of `label`; None when that is gone.
        workspace: URI.
        output: URI of the folder of published files.

    Returns:
        What `published.json` says now.

    Raises:
        BadInputError: the run's own JSONL is gone.
    """
    folder = read_path(output)
    identities = find_published(read_path(workspace), report.level, report.job_id)
    run = _described(report, label_uri, folder, identities, database=True)
    if not read_path(run.clusters_jsonl).exists():
        raise BadInputError(
            f"{run.clusters_jsonl} is gone, so run {report.job_id} cannot be published again: "
            "choose another run"
        )
    copy_whole(read_path(run.clusters_jsonl), read_path(run.dated_jsonl))
    write_published(workspace, run)
    newest = read_path(run.dated_jsonl).name
    for path in [path for path in folder.iterdir() if _is_dated(report.level, path.name)]:
        if path.name > newest:
            path.unlink()
    return run


def remove_files(
    level: str, jobs: Iterable[str], before: date, *, workspace: str, output: str
) -> list[str]:
    """Remove the published files of runs, and those of days; never those that are published now.

    Drafts go, too, if nobody has written to them for so long that their publisher was killed.

    Args:
        level: plural name.
        jobs: the runs whose own JSONL goes; a file that is gone already is no error.
        before: the JSONL of earlier days goes.
        workspace: URI.
        output: URI of the folder of published files.

    Returns:
        The names of the removed files.

    Raises:
        BadInputError: `published.json` is damaged.
    """
    folder, current = read_path(output), published(workspace, level)
    if not folder.exists():
        return []
    named = {f"clustered_{level}_{job}.jsonl" for job in jobs}
    first = f"clustered_{level}_{before.isoformat()}.jsonl"
    kept = (current.clusters_jsonl, current.dated_jsonl) if current else ()
    kept_names = {read_path(uri).name for uri in kept}
    gone = [
        path
        for path in folder.iterdir()
        if path.name not in kept_names
        and (
            path.name in named
            or (_is_dated(level, path.name) and path.name < first)
            or _is_old_draft(level, path)
        )
    ]
    for path in gone:
        path.unlink()
    return sorted(path.name for path in gone)


def published(workspace: str, level: str) -> PublishedRun | None:
    """Return the run of a level that readers see, None before the first publication.

    Raises:
        BadInputError: when `published.json` is damaged.
    """
    path = _published_path(workspace, level)
    try:
        return PublishedRun.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, ValidationError) as error:
        what = f"is damaged ({str(error).splitlines()[0]})"
        raise pointer_to_restore(read_path(workspace), level, what) from None


def _is_dated(level: str, name: str) -> bool:
    return bool(re.fullmatch(rf"clustered_{level}_\d{{4}}-\d\d-\d\d\.jsonl", name))


def _is_old_draft(level: str, path: UPath) -> bool:
    if not (path.name.startswith(f".clustered_{level}_") and is_draft(path.name)):
        return False
    return path.stat().st_mtime < time.time() - IN_USE.total_seconds()


def _described(
    report: Report,
    label_uri: str | None,
    folder: UPath,
    identities: str | None,
    *,
    database: bool,
) -> PublishedRun:
    day = report.as_of.astimezone(UTC).date().isoformat()
    return PublishedRun(
        job_id=report.job_id,
        level=report.level,
        as_of=report.as_of,
        label_uri=label_uri,
        clusters_jsonl=str(folder / f"clustered_{report.level}_{report.job_id}.jsonl"),
        dated_jsonl=str(folder / f"clustered_{report.level}_{day}.jsonl"),
        identities=identities,
        database=database,
    )


def write_published(workspace: str, run: PublishedRun) -> None:
    """Write `published.json`."""
    path = _published_path(workspace, run.level)
    write_atomically(path, to_json(run.model_dump(mode="json")))
    end_first_publication(read_path(workspace), run.level)


def _published_path(workspace: str, level: str) -> UPath:
    return read_path(workspace) / level / "published.json"
