"""What publishing a run means for its files: the quality gate, the JSONL's names, the pointer.

In `<output>`, `clustered_<level>_<job>.jsonl` belongs to one run, and
`clustered_<level>_<date>.jsonl` holds the newest published run of that UTC day.
`<workspace>/<level>/published.json` names the run that readers see. Every file is replaced whole,
in an order in which a crash at any point leaves each name with one run's complete content, and
publishing again completes what is missing.
"""

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date
from typing import Annotated

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import PublishSettings, RunSettings
from clustering_tasks.workspace.storage import is_local, read_json, to_json, write_atomically

_COPY_CHUNK = 1 << 20


def _known_level(name: str) -> str:
    if name not in LEVELS:
        raise ValueError(f"no such level; known are {', '.join(LEVELS)}")
    return name


LevelName = Annotated[str, AfterValidator(_known_level)]
Count = Annotated[int, Field(ge=0)]
# Part of a file's name, so it must not lead out of its folder.
JobId = Annotated[str, Field(pattern=r"^[^./\\\s][^/\\\s]*$", max_length=200)]


class Counts(BaseModel):
    """Where every item of a run went; `read` is the sum of the other four counts of items."""

    model_config = ConfigDict(frozen=True)

    read: Count
    clustered: Count
    noise: Count
    filtered: Count
    unassigned: Count
    clusters: Count

    @model_validator(mode="after")
    def _every_item_is_accounted_for(self) -> "Counts":
        found = self.clustered + self.noise + self.filtered + self.unassigned
        if found != self.read:
            raise ValueError(
                f"read = {self.read}, but clustered + noise + filtered + unassigned = {found}"
            )
        return self


class Report(BaseModel):
    """`report.json` of `label`, as far as publishing and loading depend on it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    job_id: JobId
    level: LevelName
    as_of: AwareDatetime
    algorithm: str
    settings: RunSettings
    counts: Counts
    coverage: float | None
    outlier_share: float | None
    largest_cluster_share: float | None


class Pointer(BaseModel):
    """`published.json`: the run of a level that readers see."""

    model_config = ConfigDict(frozen=True)

    job_id: JobId
    level: LevelName
    as_of: AwareDatetime
    label_uri: str | None
    clusters_jsonl: str
    dated_jsonl: str


@dataclass(frozen=True)
class Publication:
    """What `publish_files` did.

    Attributes:
        superseded: a run with a later `as_of` is published; nothing was written.
        current: what `published.json` says now.
    """

    superseded: bool
    current: Pointer


def read_report(uri: str) -> Report:
    """Read and check `report.json`.

    Raises:
        BadInputError: when it is missing, is not JSON, or breaks its contract.
    """
    try:
        return Report.model_validate(read_json(UPath(uri)))
    except FileNotFoundError:
        raise BadInputError(f"{uri} is gone: perform (or clear) `label` again") from None
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise BadInputError(
            f"{uri} is no report: {error}. Perform (or clear) `label` again"
        ) from None


def check_gate(report: Report, gate: PublishSettings) -> list[str]:
    """Apply the quality gate (AP-6).

    Args:
        report: of the run.
        gate: the run's `publish` settings.

    Returns:
        One sentence per condition that fails, naming the setting; empty when the run may be
        published. A share of nothing (null in the report) fails no condition.
    """
    return list(_failures(report, gate))


def publish_files(
    report: Report, *, clusters_jsonl: str, label_uri: str, workspace: str, output: str
) -> Publication:
    """Publish a run's JSONL and move `published.json` to it; safe to repeat.

    The gate is the caller's business. Two publishers of one level must not run at a time: the DAG
    holds the database's row of the level meanwhile.

    Args:
        report: of the run.
        clusters_jsonl: URI of the file to publish, from `label`'s result.
        label_uri: the artefact of `label`, from its result; kept in the pointer.
        workspace: URI.
        output: URI of the folder of published files.

    Returns:
        What was done; superseded, and nothing written, when a run with a later `as_of` is
        published already.

    Raises:
        BadInputError: `clusters_jsonl` is gone, or `published.json` is damaged.
    """
    current = published(workspace, report.level)
    if current is not None and current.as_of > report.as_of:
        return Publication(superseded=True, current=current)
    pointer = _new_pointer(report, label_uri, read_path(output))
    # The pointer last: until it has moved, a retry writes all three again.
    for target in (pointer.clusters_jsonl, pointer.dated_jsonl):
        copy_whole(read_path(clusters_jsonl), read_path(target))
    write_pointer(workspace, pointer)
    return Publication(superseded=False, current=pointer)


def publish_files_again(
    report: Report, *, label_uri: str | None, workspace: str, output: str
) -> Pointer:
    """Publish the JSONL of a run that was published before, whatever is published now.

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
    pointer = _new_pointer(report, label_uri, folder)
    if not read_path(pointer.clusters_jsonl).exists():
        raise BadInputError(
            f"{pointer.clusters_jsonl} is gone, so run {report.job_id} cannot be published again: "
            "choose another run"
        )
    copy_whole(read_path(pointer.clusters_jsonl), read_path(pointer.dated_jsonl))
    write_pointer(workspace, pointer)
    newest = read_path(pointer.dated_jsonl).name
    for path in [path for path in folder.iterdir() if _is_dated(report.level, path.name)]:
        if path.name > newest:
            path.unlink()
    return pointer


def remove_files(
    level: str, jobs: Iterable[str], before: date, *, workspace: str, output: str
) -> list[str]:
    """Remove the published files of runs, and those of days; never those that are published now.

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
        if (path.name in named or (_is_dated(level, path.name) and path.name < first))
        and path.name not in kept_names
    ]
    for path in gone:
        path.unlink()
    return sorted(path.name for path in gone)


def published(workspace: str, level: str) -> Pointer | None:
    """Return the run of a level that readers see, None before the first publication.

    Raises:
        BadInputError: when the pointer is unreadable.
    """
    path = _pointer_path(workspace, level)
    try:
        return Pointer.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise BadInputError(
            f"{path} is damaged: {error}. Restore it, or remove it and publish again"
        ) from None


def _is_dated(level: str, name: str) -> bool:
    return bool(re.fullmatch(rf"clustered_{level}_\d{{4}}-\d\d-\d\d\.jsonl", name))


def _new_pointer(report: Report, label_uri: str | None, folder: UPath) -> Pointer:
    day = report.as_of.astimezone(UTC).date().isoformat()
    return Pointer(
        job_id=report.job_id,
        level=report.level,
        as_of=report.as_of,
        label_uri=label_uri,
        clusters_jsonl=str(folder / f"clustered_{report.level}_{report.job_id}.jsonl"),
        dated_jsonl=str(folder / f"clustered_{report.level}_{day}.jsonl"),
    )


def write_pointer(workspace: str, pointer: Pointer) -> None:
    """Write `published.json`."""
    path = _pointer_path(workspace, pointer.level)
    write_atomically(path, to_json(pointer.model_dump(mode="json")))


def _pointer_path(workspace: str, level: str) -> UPath:
    return read_path(workspace) / level / "published.json"


def read_path(uri: str) -> UPath:
    """Return a URI's path; a local one as a path that can be renamed, which `file://` cannot."""
    path = UPath(uri)
    return UPath(path.path) if is_local(path) else path


def _failures(report: Report, gate: PublishSettings) -> Iterator[str]:
    counts = report.counts
    if not counts.clusters and not gate.allow_empty:
        yield (
            f"there is no cluster ({counts.read} items read): set publish.allow_empty=true to "
            "publish such a run"
        )
    if counts.read < gate.min_items:
        yield f"{counts.read} items were read, publish.min_items={gate.min_items} are required"
    if counts.clusters < gate.min_clusters:
        yield f"{counts.clusters} clusters, publish.min_clusters={gate.min_clusters} are required"
    if report.coverage is not None and report.coverage < gate.min_coverage:
        yield (
            f"coverage is {report.coverage:.4g}, publish.min_coverage={gate.min_coverage:g} is "
            "required"
        )
    largest = report.largest_cluster_share
    if largest is not None and largest > gate.max_largest_share:
        yield (
            f"the largest cluster holds {largest:.4g} of the clustered items, "
            f"publish.max_largest_share={gate.max_largest_share:g} is allowed"
        )


def copy_whole(source: UPath, target: UPath) -> None:
    """Copy a file so that a reader of the target sees the old content or the new, never a part.

    Raises:
        BadInputError: when the source does not exist.
    """
    if not source.exists():
        raise BadInputError(f"{source} is gone: perform (or clear) `label` again")
    if is_local(target):
        _replace_local(source, target)
        return
    # From a local file, because a stream into an object store that breaks off in the middle is
    # closed, and closing it publishes the part that was written.
    with tempfile.TemporaryDirectory() as folder:
        local = source
        if not is_local(source):
            local = UPath(folder) / "copy"
            source.fs.get_file(source.path, local.path)
        target.fs.put_file(local.path, target.path)


def _replace_local(source: UPath, target: UPath) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with source.open("rb") as reader, beside.open("wb") as writer:
            shutil.copyfileobj(reader, writer, _COPY_CHUNK)
            writer.flush()
            os.fsync(writer.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
