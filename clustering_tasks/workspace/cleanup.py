"""Making room in a workspace: what no kept run refers to, and what the disk has no room for.

An artefact was last used when a run recorded it last, or else when it was written. What was used
within `IN_USE` may be what an active run works with, and is never removed; neither is the artefact
that is published, nor what the run after an incremental one takes over. The registries of ids that
published runs have left stay while a kept run may be performed again. Whatever else is removed is
computed again when a run needs it.
"""

import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import orjson
import structlog
from upath import UPath

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.workspace.artefacts import artefact_name
from clustering_tasks.workspace.checkpoints import SUFFIX
from clustering_tasks.workspace.storage import is_draft, is_local

IN_USE = timedelta(days=2)
# Where files are written under a draft's name; those of an attempt go with its folder.
_DRAFTS = (".*", "runs/*/.*", "artefacts/*/*/.*", "identities/.*", "corrections/.*", "llm/.*")
_REGISTRY_FILES = ("labels", "identities", "items", "lineage")

log = structlog.get_logger()


@dataclass(frozen=True)
class Cleaned:
    """What was removed from a workspace.

    Attributes:
        runs: folders of runs.
        registries: of lasting ids, those of removed runs that no kept run went on from.
        artefacts: artefacts, whole ones.
        leftovers: what killed attempts have left: their files, drafts, checkpoints, copies of
            Stage 3's, exports.
        freed_bytes: of all these.
        left_bytes: in the workspace afterwards.
    """

    runs: int
    registries: int
    artefacts: int
    leftovers: int
    freed_bytes: int
    left_bytes: int


@dataclass(frozen=True)
class _Folder:
    """A folder that can be removed, or a file.

    Attributes:
        path: of it.
        used: seconds since 1970.
        size: bytes.
    """

    path: Path
    used: float
    size: int


def clean_workspace(
    workspace: str,
    keep: Mapping[str, Collection[str]],
    keep_days: float,
    limit_bytes: int | None = None,
) -> Cleaned | None:
    """Remove runs and artefacts that are old and not kept, then more while the disk limit asks.

    Args:
        workspace: URI. Only a local one is cleaned; an object store has its own rules of life.
        keep: by level, the jobs whose folders stay.
        keep_days: age from which everything else goes.
        limit_bytes: of the whole workspace; artefacts go in the order of their last use.

    Returns:
        What was removed; None when the workspace is not local.
    """
    if not is_local(UPath(workspace)):
        log.info("no local workspace: its own rules have to make room", workspace=workspace)
        return None
    root = Path(UPath(workspace).path)
    now = time.time()
    oldest, idle = now - keep_days * 86_400, now - IN_USE.total_seconds()
    runs = [run for level in LEVELS for run in _old_runs(root, level, keep.get(level, ()), oldest)]
    _remove(runs)
    registries = [each for level in LEVELS for each in _old_registries(root / level, oldest)]
    freed = sum(each.size for each in registries)
    _remove_files(registries)
    leftovers = [each for level in LEVELS for each in _leftovers(root / level, idle)]
    _remove(leftovers)
    artefacts = _unneeded(root, oldest, idle, limit_bytes)
    _remove(artefacts)
    _remove_unreferred(root, oldest)
    left = _size(root)
    if limit_bytes is not None and left > limit_bytes:
        log.warning("what is left is in use, yet above the limit", bytes=left, limit=limit_bytes)
    return Cleaned(
        runs=len(runs),
        registries=len(registries),
        artefacts=len(artefacts),
        leftovers=len(leftovers),
        freed_bytes=freed + sum(each.size for each in (*runs, *leftovers, *artefacts)),
        left_bytes=left,
    )


def remove_leftovers(workspace: UPath, level: str, seconds: float) -> int:
    """Remove what killed attempts of a level have left, if nobody wrote to it for so long.

    Returns:
        how many folders; 0 in an object store, where a killed attempt's files cannot be told.
    """
    if not is_local(workspace):
        return 0
    found = list(_leftovers(Path(workspace.path) / level, time.time() - seconds))
    _remove(found)
    return len(found)


def _old_runs(root: Path, level: str, keep: Collection[str], oldest: float) -> Iterator[_Folder]:
    kept = {*keep, _published(root, level).get("job_id")}
    for path in _folders(root / level / "runs"):
        found = _folder(path)
        if path.name not in kept and found.used < oldest:
            yield found


@dataclass(frozen=True)
class _Registry:
    """A published registry of ids (`clustering_tasks.identity.published`).

    Attributes:
        name: of its file of identities.
        job_id: of the run.
        base: name of the registry, or of the artefact of `label`, that the run went on from.
        files: its files, the record first.
    """

    name: str
    job_id: str
    base: str | None
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(stat.st_size for stat in _stats(self.files))

    @property
    def used(self) -> float:
        """Seconds since 1970."""
        return max((stat.st_mtime for stat in _stats(self.files)), default=0.0)


def _registries(level: Path) -> list[_Registry]:
    found = []
    for record in sorted(level.glob("identities/record-*.json")):
        name = record.stem.removeprefix("record")
        content = _json(record)
        others = (record.with_name(f"{file}{name}.parquet") for file in _REGISTRY_FILES)
        files = (record, *(path for path in others if path.exists()))
        job, base = content.get("job_id", ""), content.get("base")
        found.append(_Registry(f"identities{name}.parquet", job, base, files))
    return found


def _old_registries(level: Path, oldest: float) -> list[_Registry]:
    """The registries that are old, whose runs are gone, and that no other run needs again."""
    if not (level / "published.json").exists():
        return []  # it was lost, and is restored by one of them
    published = _json(level / "published.json").get("identities") or ""
    found = _registries(level)
    kept = {
        each.name
        for each in found
        if each.name == UPath(published).name or (level / "runs" / each.job_id).exists()
    }
    kept |= {each.base for each in found if each.name in kept and each.base is not None}
    return [each for each in found if each.name not in kept and each.used < oldest]


def _remove_files(registries: Iterable[_Registry]) -> None:
    for registry in registries:
        size = registry.size
        for path in registry.files:
            path.unlink(missing_ok=True)
        log.info("removed", path=str(registry.files[0]), bytes=size)


def _leftovers(level: Path, idle: float) -> Iterator[_Folder]:
    """What was exported, `snapshot` copied, and whoever was killed had written or kept by then."""
    checkpoints = level.glob(f"runs/*/*{SUFFIX}")
    copies = (*level.glob("runs/*/copy-*"), *level.glob("exports/*"), *checkpoints)
    attempts = (path for artefact in level.glob("artefacts/*/*") for path in _attempts(artefact))
    for path in (*copies, *attempts, *_drafts(level)):
        found = _folder(path)
        if found.used < idle:
            yield found


def _drafts(level: Path) -> Iterator[Path]:
    """Files that were to be renamed when they are whole."""
    for pattern in _DRAFTS:
        yield from (path for path in level.glob(pattern) if is_draft(path.name))


def _attempts(artefact: Path) -> Iterator[Path]:
    """Folders of an artefact that hold none of its files."""
    files = _json(artefact / "result.json").get("files", {}).values()
    needed = {UPath(file).parent.name for file in files}
    return (path for path in _folders(artefact) if path.name not in needed)


def _unneeded(root: Path, oldest: float, idle: float, limit: int | None) -> list[_Folder]:
    """The artefacts to remove: old ones that no run has, then the least recently used."""
    used = _last_uses(root)
    published = {name for level in LEVELS for name in _needed(root, level)}
    found = [
        _folder(path, used.get(artefact_name(str(path)), 0.0))
        for level in LEVELS
        for path in sorted((root / level).glob("artefacts/*/*"))
        if path.is_dir() and artefact_name(str(path)) not in published
    ]
    unneeded = [
        each for each in found if each.used < oldest and artefact_name(str(each.path)) not in used
    ]
    if limit is None:
        return unneeded
    excess = _size(root) - limit - sum(each.size for each in unneeded)
    for each in sorted(found, key=lambda each: (each.used, str(each.path))):
        if excess > 0 and each.used < idle and each not in unneeded:
            unneeded.append(each)
            excess -= each.size
    return unneeded


def _remove_unreferred(root: Path, oldest: float) -> None:
    """Remove old files of corrections, and a language model's answers, that no run refers to."""
    named = {_json(path).get("corrections") for path in root.glob("*/runs/*/run.json")}
    for path in root.glob("*/runs/*/llm.json"):
        named |= {*_json(path).get("answers", {}).values()}
    for path in sorted((*root.glob("*/corrections/*.json"), *root.glob("*/llm/*.json"))):
        if path.stem not in named and all(stat.st_mtime < oldest for stat in _stats([path])):
            path.unlink(missing_ok=True)
            log.info("removed", path=str(path))


def _needed(root: Path, level: str) -> Iterator[str]:
    """What is published, and what the next run continues if the published one was to be continued.

    Only the label's file is read of a run whose successor clusters all anew.
    """
    published = _published(root, level)
    yield artefact_name(published.get("label_uri") or "")
    for registry in _registries(root / level):
        if (registry.base or "").startswith("label/"):
            yield f"{level}/artefacts/{registry.base}"
    folder = root / level / "runs" / str(published.get("job_id") or "")
    if _json(folder / "run.json").get("settings", {}).get("mode", "full") == "full":
        return
    for record in folder.glob("*.json"):
        if uri := _json(record).get("uri"):
            yield artefact_name(uri)


def _last_uses(root: Path) -> dict[str, float]:
    """When a run of any level recorded each artefact last: events may be clustered in documents."""
    used: dict[str, float] = {}
    for record in root.glob("*/runs/*/*.json"):
        if uri := _json(record).get("uri"):
            name = artefact_name(uri)
            used[name] = max(used.get(name, 0.0), *(stat.st_mtime for stat in _stats([record])))
    return used


def _published(root: Path, level: str) -> dict[str, Any]:
    return _json(root / level / "published.json")


def _json(path: Path) -> dict[str, Any]:
    """An object of a file; empty where there is none, or where another process removes it."""
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


def _folder(path: Path, used: float = 0.0) -> _Folder:
    stats = [stat for stat in _stats([path, *path.rglob("*")]) if not S_ISDIR(stat.st_mode)]
    times = [stat.st_mtime for stat in (stats or _stats([path]))]
    return _Folder(path, max(used, *times), sum(stat.st_size for stat in stats))


def _stats(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    """What the file system says of files; others write and remove theirs meanwhile."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield path.stat()


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir()) if path.is_dir() else []


def _size(root: Path) -> int:
    return sum(stat.st_size for stat in _stats(root.rglob("*")) if not S_ISDIR(stat.st_mode))


def _remove(folders: Iterable[_Folder]) -> None:
    for folder in folders:
        if folder.path.is_dir():
            # First what says that an artefact is complete: a removal may be broken off.
            (folder.path / "result.json").unlink(missing_ok=True)
            shutil.rmtree(folder.path)
        else:
            folder.path.unlink(missing_ok=True)  # a draft
        log.info("removed", path=str(folder.path), bytes=folder.size)
