"""The artefacts that have to go."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from upath import UPath

from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.steps import STEPS
from clustering_tasks.steps.redact.records import records_of, runs_of
from clustering_tasks.steps.redact.search import snapshot_holds
from clustering_tasks.workspace.artefacts import artefact_name

_MADE_OF_SNAPSHOTS = frozenset(step.name for step in STEPS if step.reads)


@dataclass
class Redaction:
    """What was done to a level's runs, and the artefacts that must go."""

    rewritten: int = 0
    given_up: int = 0
    doomed: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)


def remove_artefacts(workspace: UPath, level: Level, deleted: Tombstones, found: Redaction) -> int:
    """Remove what holds a deleted document, and what was made of it; returns how many."""
    present = {artefact_name(str(path)): path for path in _artefacts(workspace, level)}
    holding = {name for name, path in present.items() if snapshot_holds(path, deleted)}
    doomed = found.doomed | holding
    if doomed:
        # What no run refers to may have been made of a snapshot that is gone by now.
        referred = {
            artefact_name(record.uri)
            for each in LEVELS.values()
            for folder in runs_of(workspace, each)
            for record in records_of(folder).values()
        }
        made = {name for name in present if name.split("/")[2] in _MADE_OF_SNAPSHOTS}
        doomed |= made - referred
    removed = sorted((doomed - found.kept) & present.keys())
    for name in removed:
        _remove(present[name])
    return len(removed)


def _artefacts(workspace: UPath, level: Level) -> Iterator[UPath]:
    root = workspace / level.name / "artefacts"
    for step in sorted(root.iterdir(), key=str) if root.exists() else []:
        yield from sorted((path for path in step.iterdir() if path.is_dir()), key=str)


def _remove(folder: UPath) -> None:
    """Remove an artefact; first what says that it is complete."""
    (folder / "result.json").unlink(missing_ok=True)
    folder.fs.rm(folder.path, recursive=True)
