"""Where published registries lie, and which of them a run goes on from.

`<workspace>/<level>/identities/` has the registry of each published run, under a name that no other
run has. `published.json` names the newest, and each names its *base*, the one that its run went on
from. So a run that is performed again finds the base that it had, whatever has been published
since. Beside the files of each registry stands a record of JSON: publishing needs no Parquet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.workspace.storage import copy_whole, read_json, recorded_time

FOLDER = "identities"
LABEL = "label/"
LABELS = "labels"  # the only file of a registry that `label` writes; a deletion removes it
# Files of a registry, in the order in which they are published: what names the others comes last.
FILES = {
    LABELS: "parquet",
    "items": "parquet",
    "lineage": "parquet",
    "identities": "parquet",
    "record": "json",
}


@dataclass(frozen=True)
class Base:
    """What a run goes on from: a registry, or the clusters that a version without one published.

    Attributes:
        name: of the registry's file of identities, or `label/<key>` of the clusters' artefact.
        job_id: of the run that left it.
        as_of: of that run.
        digest: of the content.
        before: name of the base of that run, None for none.
    """

    name: str
    job_id: str
    as_of: datetime
    digest: str
    before: str | None

    @property
    def key(self) -> list[str]:
        """What the next run depends on."""
        return [self.name, self.digest]


def find_base(workspace: UPath, level: str, job_id: str, as_of: datetime) -> Base | None:
    """Find what a run goes on from, None where nothing was published before.

    A run that has been published takes what it took then; any other the newest registry whose run
    is for no later moment.

    Args:
        workspace: that holds the level.
        level: plural name.
        job_id: of the run.
        as_of: of the run.

    Raises:
        BadInputError: a registry is gone or damaged.
    """
    chain, found = _chain(workspace, level), None
    for each in chain:
        if each.job_id == job_id:
            return next(chain, None)
        if found is None and each.as_of <= as_of:
            found = each
        if each.as_of < as_of:  # no run further down is for a later moment
            break
    return found


def publish_registry(workspace: UPath, level: str, job_id: str) -> str | None:
    """Copy a run's registry to where the next run looks for it; safe to repeat.

    Returns:
        its URI; None where the run has none, because an earlier version performed it.

    Raises:
        BadInputError: the artefact is gone.
    """
    if (record := _record(workspace, level, job_id, "identify")) is None:
        return None
    target = workspace / level / FOLDER / published_name(job_id, record["key"])
    labelled = _record(workspace, level, job_id, "label") or {"files": {}}
    files = record["files"] | {LABELS: labelled["files"].get(LABELS)}
    for file in FILES:
        if files[file] is not None:
            copy_whole(UPath(files[file]), beside(target, file))
    return str(target)


def find_published(workspace: UPath, level: str, job_id: str) -> str | None:
    """Find the registry that a run has published before, None where it has none."""
    record = _record(workspace, level, job_id, "identify")
    wanted = published_name(job_id, record["key"]) if record else None
    found = [path for path in registries(workspace, level) if read_record(path)["job_id"] == job_id]
    named = [path for path in found if path.name == wanted]
    return str((named or found)[-1]) if found else None


def published_name(job_id: str, key: str) -> str:
    """Name the registry that a run publishes, by its file of identities.

    Args:
        job_id: of the run.
        key: of its artefact of `identify`.
    """
    return f"identities-{job_id}-{key[:16]}.parquet"


def registries(workspace: UPath, level: str) -> list[UPath]:
    """List the published registries of a level, by their files of identities."""
    folder = workspace / level / FOLDER
    found = folder.glob("identities-*.parquet") if folder.exists() else []
    complete = (path for path in found if beside(path, "record").exists())
    return sorted(complete, key=lambda path: path.name)


def beside(identities: UPath, file: str) -> UPath:
    """Return another file of a published registry, one of `FILES`."""
    name = PurePosixPath(identities.name).stem.removeprefix("identities")
    return identities.parent / f"{file}{name}.{FILES[file]}"


def read_record(identities: UPath) -> dict[str, Any]:
    """Read which run left a published registry: `job_id`, `as_of`, `base`, `runs`, `digest`."""
    record: dict[str, Any] = read_json(beside(identities, "record"))
    return record


def published_labels(workspace: UPath, level: str, base: str) -> UPath | None:
    """Return the file of the labels that a base has left, None where it has none.

    Args:
        workspace: that holds the level.
        level: plural name.
        base: its name, of `Base`.
    """
    if base.startswith(LABEL):
        return None
    path = beside(workspace / level / FOLDER / base, LABELS)
    return path if path.exists() else None


def label_artefact(workspace: UPath, level: str, name: str) -> UPath:
    """Return the artefact of a base that is no registry."""
    return workspace / level / "artefacts" / name


def _chain(workspace: UPath, level: str) -> Iterator[Base]:
    """Yield what was published from the newest on, each the base of the one before."""
    pointer = workspace / level / "published.json"
    current = read_json(pointer) if pointer.exists() else {}
    name: str | None = None
    if current.get("identities"):
        name = PurePosixPath(current["identities"]).name
    elif current.get("label_uri"):
        name = f"{LABEL}{PurePosixPath(current['label_uri']).name}"
    while name is not None:
        base = _read_base(workspace, level, name)
        yield base
        name = base.before


def _read_base(workspace: UPath, level: str, name: str) -> Base:
    try:
        if name.startswith(LABEL):
            return _label_base(label_artefact(workspace, level, name), name)
        record = read_record(workspace / level / FOLDER / name)
    except FileNotFoundError as error:
        raise BadInputError(
            f"the published ids {name} of {level} are gone, and this run has to go on from them "
            f"({error}): restore them. To begin with new ids instead, set `identities` and "
            f"`label_uri` in {workspace / level / 'published.json'} to null"
        ) from None
    as_of = recorded_time(record["as_of"])
    return Base(name, record["job_id"], as_of, record["digest"], record["base"])


def _label_base(artefact: UPath, name: str) -> Base:
    report = read_json(UPath(read_json(artefact / "result.json")["files"]["report"]))
    return Base(name, report["job_id"], recorded_time(report["as_of"]), artefact.name, None)


def _record(workspace: UPath, level: str, job_id: str, step: str) -> dict[str, Any] | None:
    path = workspace / level / "runs" / job_id / f"{step}.json"
    record: dict[str, Any] | None = read_json(path) if path.exists() else None
    return record
