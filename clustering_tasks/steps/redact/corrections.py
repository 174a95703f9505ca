"""Files of corrections without those that name items of deleted documents."""

from collections.abc import Iterator
from dataclasses import replace

from upath import UPath

from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.frozen import freeze, frozen_folder, read_frozen
from clustering_tasks.deleted_documents.mentions import redacting
from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.settings.levels import Level
from clustering_tasks.steps.redact.records import runs_of
from clustering_tasks.workspace.artefacts import load_run


def redact_corrections(workspace: UPath, level: Level, deleted: Tombstones) -> int:
    """Write a level's files of corrections again, and let its runs refer to the new ones.

    Safe to repeat after a crash at any point: an old file goes when no run refers to it.

    Returns:
        how many files were replaced or removed.
    """
    new = {
        digest: freeze(workspace, level.name, kept)
        for digest, kept in _changed(workspace, level, deleted)
    }
    for folder in runs_of(workspace, level) if new else []:
        run = load_run(workspace, level, folder.name)
        if run.corrections in new:
            replace(run, corrections=new[run.corrections]).start()
    for digest in new:
        (frozen_folder(workspace, level.name) / f"{digest}.json").unlink()
    return len(new)


def _changed(
    workspace: UPath, level: Level, deleted: Tombstones
) -> Iterator[tuple[str, list[Correction]]]:
    """Yield the files that name a deleted document: their digests, and what stays."""
    folder = frozen_folder(workspace, level.name)
    for path in sorted(folder.glob("*.json"), key=str) if folder.exists() else []:
        every = read_frozen(workspace, level.name, path.stem)
        stays = [each for each in every if not _names(each, deleted)]
        if len(stays) < len(every):
            yield path.stem, stays


def _names(correction: Correction, deleted: Tombstones) -> bool:
    if deleted.among(correction.documents):
        return True
    ids = [*correction.items, *correction.others]  # a file of the command line names no documents
    return redacting(deleted)(ids) is not ids
