"""Making room in a workspace: what no kept run refers to, and what the disk has no room for.

An artefact was last used when a run recorded it last, or else when it was written. What was used
within `IN_USE` may be what an active run works with, and is never removed; neither is the artefact
that is published, nor what the run after an incremental one takes over. The registries of ids that
published runs have left stay while a kept run may be performed again. Whatever else is removed is
computed again when a run needs it.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from upath import UPath

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.workspace.artefacts import artefact_name
from clustering_tasks.workspace.checkpoints import SUFFIX
from clustering_tasks.workspace.listing import Entry, Listing
from clustering_tasks.workspace.storage import is_draft, is_local

IN_USE = timedelta(days=2)
# A removal may take minutes, and a run begin to use what is to go. A look costs a disk
# milliseconds, and an object store some requests.
_LOOK_SECONDS, _LOOK_SECONDS_IN_STORE = 2.0, 30.0
_SKEW_SECONDS = 3600.0  # of a store's clock
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
        freed_bytes: of all these, and of old corrections and a language model's old answers.
        left_bytes: in the workspace afterwards.
    """

    runs: int
    registries: int
    artefacts: int
    leftovers: int
    freed_bytes: int
    left_bytes: int


def clean_workspace(
    workspace: str,
    keep: Mapping[str, Collection[str]],
    keep_days: float,
    limit_bytes: int | None = None,
    live: Mapping[str, Collection[str]] | None = None,
) -> Cleaned:
    """Remove runs and artefacts that are old and not kept, then more while the limit asks.

    Args:
        workspace: URI, of a disk or of an object store.
        keep: by level, the jobs whose folders stay.
        keep_days: age from which everything else goes.
        limit_bytes: of the whole workspace; artefacts go in the order of their last use.
        live: by level, the jobs that are not over, however long ago they recorded anything; their
            folders stay, and the artefacts that they have recorded, above any limit.
    """
    listing = Listing(UPath(workspace))
    now, live = time.time(), _with_bases(listing, live or {})
    oldest, idle = now - keep_days * 86_400, now - IN_USE.total_seconds()
    spared = {level: {*keep.get(level, ()), *live.get(level, ())} for level in LEVELS}
    runs = [run for level in LEVELS for run in _old_runs(listing, level, spared[level], oldest)]
    freed = _remove(listing, runs)
    registries = [each for level in LEVELS for each in _old_registries(listing, level, oldest)]
    freed += _remove(listing, [file for each in registries for file in each.files])
    leftovers = [each for level in LEVELS for each in _leftovers(listing, f"{level}/", idle)]
    freed += _remove(listing, leftovers)
    listing = Listing(UPath(workspace))  # a run may have begun to use an old artefact meanwhile
    artefacts = _Artefacts(listing, _unneeded(listing, live, oldest, idle, limit_bytes))
    freed += artefacts.remove(UPath(workspace))
    freed += _remove(listing, _unreferred(listing, oldest))
    left = listing.tree.size
    if limit_bytes is not None and left > limit_bytes:
        log.warning("what is left is in use, yet above the limit", bytes=left, limit=limit_bytes)
    return Cleaned(
        runs=len(runs),
        registries=len(registries),
        artefacts=artefacts.removed,
        leftovers=len(leftovers),
        freed_bytes=freed,
        left_bytes=left,
    )


def remove_leftovers(workspace: UPath, level: str, seconds: float) -> int:
    """Remove what killed attempts of a level have left, if nobody wrote to it for so long.

    Returns:
        how many files and folders.
    """
    listing = Listing(workspace / level)
    found = _leftovers(listing, "", time.time() - seconds)
    _remove(listing, found)
    return len(found)


def _with_bases(
    listing: Listing, live: Mapping[str, Collection[str]]
) -> dict[str, Collection[str]]:
    """Add the runs that live ones go on from: they have decided so, whatever is published since."""
    found: dict[str, Collection[str]] = {}
    for level, jobs in live.items():
        modes = (listing.read_object(f"{level}/runs/{job}/mode.json") for job in jobs)
        found[level] = {*jobs, *(each["previous"]["job_id"] for each in modes if _goes_on(each))}
    return found


def _goes_on(mode: Mapping[str, Any]) -> bool:
    return mode.get("taken") == "incremental" and bool(mode.get("previous"))


def _old_runs(
    listing: Listing, level: str, keep: Collection[str], oldest: float
) -> Iterator[Entry]:
    kept = {*keep, _published(listing, level).get("job_id")}
    for run in listing.folders(f"{level}/runs/*"):
        if run.name not in kept and run.used < oldest:
            yield run


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
    files: tuple[Entry, ...]

    @property
    def used(self) -> float:
        """Seconds since 1970."""
        return max(file.used for file in self.files)


def _registries(listing: Listing, level: str) -> list[_Registry]:
    found = []
    for record in listing.glob(f"{level}/identities/record-*.json"):
        name = record.name.removeprefix("record").removesuffix(".json")
        content = listing.read_object(record.path)
        paths = (f"{level}/identities/{file}{name}.parquet" for file in _REGISTRY_FILES)
        files = (record, *(file for path in paths if (file := listing.find(path))))
        job, base = content.get("job_id", ""), content.get("base")
        found.append(_Registry(f"identities{name}.parquet", job, base, files))
    return found


def _old_registries(listing: Listing, level: str, oldest: float) -> list[_Registry]:
    """The registries that are old, whose runs are gone, and that no other run needs again."""
    if listing.find(f"{level}/published.json") is None:
        return []  # it was lost, and is restored by one of them
    published = _published(listing, level).get("identities") or ""
    found = _registries(listing, level)
    kept = {
        each.name
        for each in found
        if each.name == UPath(published).name or listing.find(f"{level}/runs/{each.job_id}")
    }
    kept |= {each.base for each in found if each.name in kept and each.base is not None}
    return [each for each in found if each.name not in kept and each.used < oldest]


def _leftovers(listing: Listing, level: str, idle: float) -> list[Entry]:
    """What was exported, `snapshot` copied, and whoever was killed had written or kept by then.

    Args:
        listing: of the workspace, or of the level.
        level: how its paths begin there: `events/`, or nothing.
        idle: seconds since 1970, to which nobody has written since.
    """
    # One entry may be found twice: an attempt whose name is a draft's.
    return [*{each.path: each for each in _left(listing, level) if each.used < idle}.values()]


def _left(listing: Listing, level: str) -> Iterator[Entry]:
    for pattern in ("runs/*/copy-*", "exports/*", f"runs/*/*{SUFFIX}"):
        yield from listing.glob(f"{level}{pattern}")
    for artefact in listing.folders(f"{level}artefacts/*/*"):
        yield from _attempts(listing, artefact)
    for pattern in _DRAFTS:  # files that were to be renamed when they are whole
        yield from (each for each in listing.glob(f"{level}{pattern}") if is_draft(each.name))


def _attempts(listing: Listing, artefact: Entry) -> Iterator[Entry]:
    """Folders of an artefact that hold none of its files."""
    files = listing.read_object(f"{artefact.path}/result.json").get("files", {}).values()
    needed = {UPath(file).parent.name for file in files}
    folders = (each for each in artefact.children.values() if each.is_folder)
    return (each for each in folders if each.name not in needed)


def _unneeded(
    listing: Listing,
    live: Mapping[str, Collection[str]],
    oldest: float,
    idle: float,
    limit: int | None,
) -> list[Entry]:
    """The artefacts to remove: old ones that no run has, then the least recently used."""
    recorded = _last_records(listing)
    needed = {name for level in LEVELS for name in _needed(listing, level)}
    for level, jobs in live.items():
        needed |= {name for job in jobs for name in _recorded(listing, level, job)}
    found = [
        each
        for each in listing.folders("*/artefacts/*/*")
        if artefact_name(each.path) not in needed
    ]
    unneeded = [
        each for each in found if each.used < oldest and artefact_name(each.path) not in recorded
    ]
    if limit is None:
        return unneeded
    used = {
        each.path: max(each.used, recorded.get(artefact_name(each.path), 0.0)) for each in found
    }
    excess = listing.tree.size - limit - sum(each.size for each in unneeded)
    for each in sorted(found, key=lambda each: (used[each.path], each.path)):
        if excess > 0 and used[each.path] < idle and each not in unneeded:
            unneeded.append(each)
            excess -= each.size
    return unneeded


class _Artefacts:
    """Artefacts that are to go, unless a run begins to use one meanwhile.

    Attributes:
        removed: how many have gone.
    """

    def __init__(self, listing: Listing, found: Collection[Entry]) -> None:
        """Take what was found in a listing that is new."""
        self.removed = 0
        self._listing, self._found = listing, found
        self._since, self._looked = time.time() - _SKEW_SECONDS, time.monotonic()
        self._used: set[str] = set()

    def remove(self, workspace: UPath) -> int:
        """Remove them; returns their bytes."""
        freed, pause = 0, _LOOK_SECONDS if is_local(workspace) else _LOOK_SECONDS_IN_STORE
        for each in self._found:
            if time.monotonic() - self._looked > pause:
                self._look(workspace)
            if artefact_name(each.path) not in self._used:
                freed += _remove(self._listing, [each])
                self.removed += 1
        return freed

    def _look(self, workspace: UPath) -> None:
        """Read what runs have recorded since."""
        for level in LEVELS:
            runs = Listing(workspace / level / "runs")
            for record in runs.glob("*/*.json"):
                uri = record.used > self._since and runs.read_object(record.path).get("uri")
                self._used |= {artefact_name(uri)} if uri else set()
        self._looked = time.monotonic()


def _unreferred(listing: Listing, oldest: float) -> list[Entry]:
    """Old files of corrections, and a language model's answers, that no run refers to."""
    named = {
        listing.read_object(each.path).get("corrections")
        for each in listing.glob("*/runs/*/run.json")
    }
    for each in listing.glob("*/runs/*/llm.json"):
        named |= {*listing.read_object(each.path).get("answers", {}).values()}
    found = (*listing.glob("*/corrections/*.json"), *listing.glob("*/llm/*.json"))
    return [
        each
        for each in found
        if each.name.removesuffix(".json") not in named and each.used < oldest
    ]


def _needed(listing: Listing, level: str) -> Iterator[str]:
    """What is published, and what the next run continues if the published one was to be continued.

    Only the label's file is read of a run whose successor clusters all anew.
    """
    published = _published(listing, level)
    yield artefact_name(published.get("label_uri") or "")
    for registry in _registries(listing, level):
        if (registry.base or "").startswith("label/"):
            yield f"{level}/artefacts/{registry.base}"
    job = str(published.get("job_id") or "")
    request = listing.read_object(f"{level}/runs/{job}/run.json")
    if request.get("settings", {}).get("mode", "full") != "full":
        yield from _recorded(listing, level, job)


def _recorded(listing: Listing, level: str, job: str) -> Iterator[str]:
    """The artefacts that a run's records name."""
    run = listing.find(f"{level}/runs/{job}")
    for record in run.children.values() if run else ():
        if record.name.endswith(".json") and (uri := listing.read_object(record.path).get("uri")):
            yield artefact_name(uri)


def _last_records(listing: Listing) -> dict[str, float]:
    """When a run that has recorded an artefact last did anything: it may be at work for days.

    A run of any level: events may be clustered in documents.
    """
    found: dict[str, float] = {}
    for run in listing.folders("*/runs/*"):
        for record in listing.glob(f"{run.path}/*.json"):
            if uri := listing.read_object(record.path).get("uri"):
                name = artefact_name(uri)
                found[name] = max(found.get(name, 0.0), run.used)
    return found


def _published(listing: Listing, level: str) -> dict[str, Any]:
    return listing.read_object(f"{level}/published.json")


def _remove(listing: Listing, entries: Collection[Entry]) -> int:
    """Remove files and folders.

    Returns:
        their bytes.
    """
    sizes = [entry.size for entry in entries]
    for entry, size in zip(entries, sizes, strict=True):
        # First what says that an artefact is complete: a removal may be broken off.
        if complete := entry.children.get("result.json"):
            listing.remove(complete)
        listing.remove(entry)
        log.info("removed", path=entry.path, bytes=size)
    return sum(sizes)
