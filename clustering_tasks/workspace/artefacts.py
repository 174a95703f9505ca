"""Runs and artefacts: steps as pure functions whose results are found again.

An artefact is the folder `<workspace>/<level>/artefacts/<step>/<key>`. It is complete when its
`result.json` exists, which is written last. The key is a digest of the inputs' keys, of the
settings that the step reads and of its code, so performing a step again with the same inputs does
nothing: that one rule gives retry, clearing and resume.

The files lie in a sub-folder of their own for every attempt, so that an attempt that was given up
for dead cannot write into the files of its successor.
"""

import gc
import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.settings.run import RunSettings, run_settings
from clustering_tasks.workspace.source_version import step_version
from clustering_tasks.workspace.storage import (
    make_local_folder,
    naming,
    read_json,
    recorded_time,
    to_json,
    unfinished,
    write_atomically,
)

log = structlog.get_logger()

Metric = int | float | str | None


class Part(BaseModel):
    """One mapped `cluster` task, as the graph in the UI shows it.

    Attributes:
        part: its number, from 0.
        name: of what it holds.
        items: how many; None in the record of a run before this was counted.
    """

    model_config = ConfigDict(frozen=True)

    part: int
    name: str
    items: int | None = None


class GpuReading(BaseModel):
    """A GPU, and the memory in use on it, by all processes, around one task.

    Attributes:
        uuid: the driver's name for it, the same on every start.
        name: of the model.
        memory_total_bytes: memory of the card.
        memory_before_bytes: in use when the task began.
        memory_peak_bytes: the most of the readings after batches, the index still there.
        memory_after_bytes: in use when the index had been released.
        utilisation_percent: at the last reading, None: unknown.
        measured_at: time of the last reading.
    """

    model_config = ConfigDict(frozen=True)

    uuid: str
    name: str
    memory_total_bytes: int
    memory_before_bytes: int
    memory_peak_bytes: int
    memory_after_bytes: int
    utilisation_percent: float | None
    measured_at: AwareDatetime


def part_name(part: int) -> str:
    """Name a part's result within its run."""
    return f"cluster-{part}"


class Result(BaseModel):
    """What a step leaves behind: where its files are, and its metrics."""

    model_config = ConfigDict(frozen=True)

    step: str
    key: str
    uri: str
    files: dict[str, str]
    metrics: dict[str, Metric]
    seconds: float
    reused: bool = False
    parts: list[Part] | None = None
    gpus: list[GpuReading] | None = None

    def path(self, file: str) -> UPath:
        """Return the path of one of the artefact's files.

        Raises:
            BadInputError: when the artefact has no such file: another version made it.
        """
        if file not in self.files:
            raise made_by_another_version(self.step, self.uri, f"file `{file}`")
        return UPath(self.files[file])


def made_by_another_version(step: str, uri: str, lacks: str) -> BadInputError:
    """Say that an artefact cannot be read on, and what to do."""
    return BadInputError(
        f"{uri} has no {lacks}: another version of this package made it. Clear `{step}` with its "
        f"downstream tasks (in a terminal: perform the steps again from `{step}` on)"
    )


@dataclass(frozen=True)
class Run:
    """One run of one level: `<workspace>/<level>/runs/<job_id>` and what its caller chose."""

    workspace: UPath
    level: Level
    job_id: str
    indices: str
    as_of: datetime
    settings: RunSettings
    corrections: str | None = None  # digest of the file that holds them; None: there are none

    @cached_property
    def folder(self) -> UPath:
        """Folder that names the artefacts of this run."""
        return self.workspace / self.level.name / "runs" / self.job_id

    def start(self) -> None:
        """Record what was asked for; later steps read it.

        Raises:
            ResourcesError: the workspace cannot be made.
        """
        make_local_folder(self.workspace, "--workspace, STAGE4_WORKSPACE")
        record = {
            "job_id": self.job_id,
            "level": self.level.name,
            "indices": self.indices,
            "as_of": self.as_of,
            "settings": self.settings.model_dump(mode="json"),
            "corrections": self.corrections,
        }
        write_atomically(self.folder / "run.json", to_json(record))

    def result(self, name: str) -> Result:
        """Return the result of an earlier step of this run.

        Raises:
            BadInputError: when the step has not been performed in this run.
        """
        if (result := self.find_result(name)) is None:
            raise BadInputError(
                f"run {self.job_id} has no result of `{name}` in {self.folder}: "
                f"perform (or clear) that step first"
            )
        return result

    def discard(self, name: str) -> None:
        """Remove what an earlier try recorded under a name."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def find_result(self, name: str) -> Result | None:
        """Return the result of a step of this run, None where there is none."""
        path = self.folder / f"{name}.json"
        return Result.model_validate(read_json(path)) if path.exists() else None


def load_run(workspace: UPath, level: Level, job_id: str) -> Run:
    """Read what `Run.start` recorded.

    Raises:
        BadInputError: when this workspace has no such run.
    """
    path = workspace / level.name / "runs" / job_id / "run.json"
    if not path.exists():
        raise BadInputError(
            f"no run {job_id} of level {level.name} in {workspace}: `snapshot` starts a run"
        )
    record = read_json(path)
    return Run(
        workspace=workspace,
        level=LEVELS[record["level"]],
        job_id=job_id,
        indices=record["indices"],
        as_of=recorded_time(record["as_of"]),
        settings=run_settings(record["settings"]),
        corrections=record.get("corrections"),
    )


@dataclass
class Attempt:
    """The folder of one attempt at an artefact; `work` functions write their files into it."""

    folder: UPath
    files: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    parts: list[Part] | None = None
    gpus: list[GpuReading] | None = None

    def new_file(self, name: str, file_name: str) -> UPath:
        """Name a file of the artefact and return the path to write it to."""
        path = self.folder / file_name
        self.files[name] = str(path)
        return path


def artefact_key(
    step: str, inputs: Iterable[Result], settings: Mapping[str, Any], extra: object = None
) -> str:
    """Digest everything that an artefact depends on.

    Args:
        step: the step's name.
        inputs: the artefacts that it reads.
        settings: the settings that it reads.
        extra: whatever else it depends on, of JSON types.
    """
    identity = [step, step_version(step), [r.key for r in inputs], settings, extra]
    return hashlib.sha256(to_json(identity)).hexdigest()[:32]


def find_artefact(run: Run, step: str, key: str, level: Level | None = None) -> Result | None:
    """Return the result of a finished artefact (of another level: its context), None for none."""
    path = _folder(run, step, key, level) / "result.json"
    return Result.model_validate(read_json(path)) if path.exists() else None


def artefact_name(uri: str) -> str:
    """Level, `artefacts`, step and key; what stands before depends on who sees the workspace."""
    return "/".join(PurePosixPath(uri).parts[-4:])


def perform(
    run: Run,
    step: str,
    key: str,
    work: Callable[[Attempt], None],
    name: str | None = None,
    level: Level | None = None,
    of_run: Mapping[str, Metric] | None = None,
) -> Result:
    """Make an artefact unless it is there already, and record it in the run.

    Args:
        run: the run that needs it.
        step: the step's name.
        key: from `artefact_key`.
        work: writes the files into the attempt's folder and sets its metrics.
        name: the result's name within the run; default: the step's.
        level: whose artefact it is; default: the run's.
        of_run: metrics of the run, beside the artefact's.
    """
    result = find_artefact(run, step, key, level)
    if result is not None:
        log.info("step reused", step=name or step, key=key)
        result = result.model_copy(update={"reused": True})
    else:
        result = _make(step, key, _folder(run, step, key, level), work)
        log.info("step done", step=name or step, key=key, seconds=round(result.seconds, 3))
    if of_run:
        result = result.model_copy(update={"metrics": {**result.metrics, **of_run}})
    record = to_json(result.model_dump(mode="json"))
    write_atomically(run.folder / f"{name or step}.json", record)
    return result


def _make(step: str, key: str, folder: UPath, work: Callable[[Attempt], None]) -> Result:
    attempt = Attempt(folder / uuid.uuid4().hex[:8])
    attempt.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    try:
        with unfinished(attempt.folder), _only_new_objects_collected(), naming(attempt.folder):
            work(attempt)
    except BaseException:
        # Nobody would find these files again. An attempt that is ended by SIGKILL leaves its own.
        if attempt.folder.exists():  # an object store has no folder without a file
            attempt.folder.fs.rm(attempt.folder.path, recursive=True)
        raise
    result = Result(
        step=step,
        key=key,
        uri=str(folder),
        files=attempt.files,
        metrics=attempt.metrics,
        seconds=time.perf_counter() - started,
        parts=attempt.parts,
        gpus=attempt.gpus,
    )
    write_atomically(folder / "result.json", to_json(result.model_dump(mode="json")))
    return result


@contextmanager
def _only_new_objects_collected() -> Iterator[None]:
    """Leave out of the garbage collector's rounds what was there before, libraries above all.

    A million parsed entries make many rounds: of a snapshot's time they were a quarter.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _folder(run: Run, step: str, key: str, level: Level | None = None) -> UPath:
    return run.workspace / (level or run.level).name / "artefacts" / step / key
