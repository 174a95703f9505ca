"""Taking deleted documents out of the published JSONL."""

from collections.abc import Iterator
from typing import Any

import orjson
from upath import UPath

from clustering_tasks.deleted_documents.mentions import Redact, redacting
from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.errors import BadInputError
from clustering_tasks.identity.published import publish_registry
from clustering_tasks.publication.files import PublishedRun, published, write_published
from clustering_tasks.workspace.storage import copy_whole, read_json, read_path


def redact_published(
    level: str, deleted: Tombstones, *, workspace: str, output: str
) -> tuple[list[str], list[str]]:
    """Rewrite a level's published files that hold a deleted document; safe to repeat.

    A file is replaced by what `redact` made of its run. Where that could not be made, the file is
    removed, unless it is the published one. Two publishers of one level must not run at a time.

    Args:
        level: plural name.
        deleted: the documents.
        workspace: URI.
        output: URI of the folder of published files.

    Returns:
        the names of the files that were rewritten, and of those that were removed.

    Raises:
        BadInputError: the published file holds one, and its run cannot be rewritten; everything
            else is done.
    """
    folder, current = read_path(output), published(workspace, level)
    rewritten, removed, stuck = list[str](), list[str](), list[str]()
    kept = (
        {read_path(uri).name for uri in (current.clusters_jsonl, current.dated_jsonl)}
        if (current)
        else set[str]()
    )
    for path in _files(folder, level):
        if path.name.startswith("."):  # of a publisher that was killed
            path.unlink()
            continue
        job = _job_of(path) if _holds(path, deleted) else None
        if job is None:
            continue
        source = _rewritten(read_path(workspace) / level / "runs" / job, deleted)
        if source is not None:
            copy_whole(source, path)
            rewritten.append(path.name)
        elif path.name in kept:
            stuck.append(path.name)
        else:
            path.unlink()
            removed.append(path.name)
    if current is not None:
        _point(current, workspace)
    if stuck:
        raise BadInputError(
            f"{', '.join(stuck)} of {level} is published and cannot be rewritten, because the "
            f"run's artefacts are gone: run `cluster_{level}` again, then `delete_document`"
        )
    return rewritten, removed


def _files(folder: UPath, level: str) -> list[UPath]:
    """The level's JSONL, and what publishers have left that were killed while they wrote one."""
    if not folder.exists():
        return []
    names = (f"clustered_{level}_", f".clustered_{level}_")
    return sorted((path for path in folder.iterdir() if path.name.startswith(names)), key=str)


def _records(path: UPath) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from map(orjson.loads, file)


def _holds(path: UPath, deleted: Tombstones) -> bool:
    redact = redacting(deleted)
    return any(
        deleted.among(record["document_ids"]) or _names(record, redact) for record in _records(path)
    )


def _names(record: dict[str, Any], redact: Redact) -> bool:
    """Whether storylines name events of deleted documents; a cluster of events names its own."""
    if record["cluster_type"] != "storyline":
        return False
    said = {"event_ids": record.get("event_ids")}
    return redact(said) is not said


def _job_of(path: UPath) -> str:
    job: str = next(_records(path))["metadata"]["run_id"]
    return job


def _rewritten(run: UPath, deleted: Tombstones) -> UPath | None:
    """What `redact` made of a run's JSONL; None where it could not."""
    try:
        source = read_path(read_json(run / "label.json")["files"]["clusters_jsonl"])
    except FileNotFoundError:
        return None
    return source if source.exists() and not _holds(source, deleted) else None


def _point(current: PublishedRun, workspace: str) -> None:
    """Name the artefact that the published run's JSONL is from by now, and its registry of ids."""
    record = read_path(workspace) / current.level / "runs" / current.job_id / "label.json"
    if current.label_uri is None or not record.exists():
        return
    uri = str(read_json(record)["uri"])
    if uri != current.label_uri:
        identities = publish_registry(read_path(workspace), current.level, current.job_id)
        new = {"label_uri": uri, "identities": identities or current.identities}
        write_published(workspace, current.model_copy(update=new))
