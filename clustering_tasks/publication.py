"""What publishing a run means for its files: the quality gate, the JSONL's names, the pointer.

`<output>/clustered_<level>_<job>.jsonl` belongs to one run. `<output>/clustered_<level>_<date>.jsonl`
holds the newest published run of that UTC day, and `<workspace>/<level>/published.json` names the
run that readers see. Every file is replaced whole, in an order in which a crash at any point leaves
each name with one run's complete content, and publishing again completes what is missing.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.levels import LEVELS
from clustering_tasks.settings import PublishSettings, RunSettings
from clustering_tasks.storage import is_local, read_json, to_json, write_atomically

_COPY_CHUNK = 1 << 20

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
    level: Literal["documents", "events", "entities", "storylines"]
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
    level: str
    as_of: AwareDatetime
    label_uri: str
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
        published. A run without items or clusters fails no condition about shares: `allow_empty`
        alone decides on it.
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
        BadInputError: `clusters_jsonl` does not exist, or `published.json` is unreadable.
    """
    raise NotImplementedError


def published(workspace: str, level: str) -> Pointer | None:
    """Return the run of a level that readers see, None before the first publication.

    Raises:
        BadInputError: when the pointer is unreadable.
    """
    raise NotImplementedError
