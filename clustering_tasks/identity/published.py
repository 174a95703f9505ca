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
from clustering_tasks.workspace.damage import refusing_damage
from clustering_tasks.workspace.storage import (
    copy_whole,
    read_json,
    recorded_time,
    to_json,
    write_atomically,
)

FOLDER = "identities"
LABEL = "label/"
NOTHING_PUBLISHED = "nothing-published.json"  # while a level's first publication is under way
LABELS = "labels"  # the only file of a registry that `label` writes; a deletion removes it
# Files of a registry, in the order in which they are published: what names the others comes last.
FILES = {
    LABELS: "parquet",
    "items": "parquet",
    "lineage": "parquet",
    "identities": "parquet",
    "record": "json",
}


RESTORE = (
    "the published ids are in it, and the next run has to go on from them; restore it from a "
    "backup, or roll the level back to an earlier run"
)


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
    return choose_base(_chain(workspace, level, job_id), job_id, as_of)


def choose_base(published: Iterator[Base], job_id: str, as_of: datetime) -> Base | None:
    """Choose what a run goes on from, as `find_base` says.

    Args:
        published: from the newest on, each the base of the one before.
        job_id: of the run.
        as_of: of the run.
    """
    found = None
    for each in published:
        if each.job_id == job_id:
            return next(published, None)
        if found is None and each.as_of <= as_of:
            found = each
        if each.as_of < as_of:  # no run further down is for a later moment
            break
    return found


def begin_first_publication(workspace: UPath, level: str, job_id: str) -> None:
    """Note that no run of a level is published yet, unless a registry says that one was.

    The registries that a publication leaves which then fails are known by this from those of a
    level that has lost its `published.json`.

    Args:
        workspace: that holds the level, without `published.json`.
        level: plural name.
        job_id: of the run that is to be the first.
    """
    if not registries(workspace, level):
        note = workspace / level / FOLDER / NOTHING_PUBLISHED
        write_atomically(note, to_json({"job_id": job_id}))


def end_first_publication(workspace: UPath, level: str) -> None:
    """Remove the note, once `published.json` is there."""
    (workspace / level / FOLDER / NOTHING_PUBLISHED).unlink(missing_ok=True)


def _was_published(workspace: UPath, level: str) -> bool:
    return not (workspace / level / FOLDER / NOTHING_PUBLISHED).exists()


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
    """Find the registry that a run has published before, None where it has none (any more).

    One that is lost is published again, if the run's artefact is still there.
    """
    record = _record(workspace, level, job_id, "identify")
    wanted = published_name(job_id, record["key"]) if record else None
    mine = (path for path in registries(workspace, level) if _may_be_of(path, job_id))
    found = [path for path in mine if read_record(path)["job_id"] == job_id]
    named = [path for path in found if path.name == wanted]
    if found:
        return str((named or found)[-1])
    kept = record is not None and all(
        UPath(record["files"][file]).exists() for file in FILES if file != LABELS
    )
    return publish_registry(workspace, level, job_id) if kept else None


def _may_be_of(registry: UPath, job_id: str) -> bool:
    """Whether a registry's name begins with a job's: the damaged ones of others stop nothing."""
    return registry.name.startswith(f"identities-{job_id}-")


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


def read_record(identities: UPath, remedy: str = RESTORE) -> dict[str, Any]:
    """Read which run left a published registry: `job_id`, `as_of`, `base`, `runs`, `digest`.

    Raises:
        BadInputError: it is gone or damaged; the message ends with the remedy.
    """
    path = beside(identities, "record")
    with refusing_damage(path, remedy):
        record: dict[str, Any] = read_json(path)
        recorded_time(record["as_of"])
        _ = record["job_id"], record["base"], record["runs"], record["digest"]
    return record


def pointer_to_restore(workspace: UPath, level: str, what: str) -> BadInputError:
    """Say what to do about a `published.json` that is gone or damaged.

    Args:
        workspace: that holds the level.
        level: plural name.
        what: is the matter with it.
    """
    path = workspace / level / "published.json"
    newest = newest_registry(workspace, level)
    again = (
        f"or perform the run that has left the newest ids again: --job {newest['job_id']} "
        f"--as-of {newest['as_of']}"
        if newest
        else "or, if it cannot be restored, remove it: the next run then begins with new ids"
    )
    never = f". Where no run of {level} was ever published, remove {path.parent / FOLDER} instead"
    return BadInputError(
        f"{path} {what}, and it names the ids that the runs of {level} go on from: restore it from "
        f"a backup; or publish the present run again with `python -m stage4.database.roll_back "
        f"{level} LOAD_ID` (`GET runs` has its load_id), where there is a database; {again}"
        f"{never if newest else ''}"
    )


def newest_registry(workspace: UPath, level: str) -> dict[str, Any] | None:
    """Read the record of the published registry for the latest moment, None where there is none."""
    named = ({"name": path.name} | read_record(path) for path in registries(workspace, level))
    return max(named, key=lambda record: recorded_time(record["as_of"]), default=None)


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


def _chain(workspace: UPath, level: str, job_id: str) -> Iterator[Base]:
    """Yield what was published from the newest on, each the base of the one before.

    Raises:
        BadInputError: a registry is gone or damaged, or leads back to itself.
    """
    name = _published_base(workspace, level, job_id)
    seen = set[str]()
    while name is not None:
        base = _read_base(workspace, level, name)
        seen.add(name)
        if base.before in seen:
            path = workspace / level / FOLDER / name
            raise BadInputError(f"{path} goes on from itself, by its record: {RESTORE}")
        yield base
        name = base.before


def _published_base(workspace: UPath, level: str, job_id: str) -> str | None:
    """Return the name of the newest base, None where nothing was published.

    Without `published.json` the run that has left the newest registry may be performed again: that
    writes it anew. The registry of a first publication that failed is none.
    """
    pointer = workspace / level / "published.json"
    if not pointer.exists():
        if not _was_published(workspace, level):
            return None
        if (newest := newest_registry(workspace, level)) is None:
            return None
        if newest["job_id"] != job_id:
            raise pointer_to_restore(workspace, level, "is gone")
        return str(newest["name"])
    try:
        current = read_json(pointer)
        label, identities = current["label_uri"], current.get("identities")
    except (ValueError, TypeError, LookupError):
        raise pointer_to_restore(workspace, level, "is damaged") from None
    if identities:
        return PurePosixPath(identities).name
    return f"{LABEL}{PurePosixPath(label).name}" if label else None


def _read_base(workspace: UPath, level: str, name: str) -> Base:
    begin = (
        f"{RESTORE}. To begin with new ids instead, set `identities` and `label_uri` in "
        f"{workspace / level / 'published.json'} to null"
    )
    if name.startswith(LABEL):
        artefact = label_artefact(workspace, level, name)
        with refusing_damage(artefact, begin):
            return _label_base(artefact, name)
    record = read_record(workspace / level / FOLDER / name, begin)
    as_of = recorded_time(record["as_of"])
    return Base(name, record["job_id"], as_of, record["digest"], record["base"])


def _label_base(artefact: UPath, name: str) -> Base:
    report = read_json(UPath(read_json(artefact / "result.json")["files"]["report"]))
    return Base(name, report["job_id"], recorded_time(report["as_of"]), artefact.name, None)


def _record(workspace: UPath, level: str, job_id: str, step: str) -> dict[str, Any] | None:
    path = workspace / level / "runs" / job_id / f"{step}.json"
    record: dict[str, Any] | None = read_json(path) if path.exists() else None
    return record
