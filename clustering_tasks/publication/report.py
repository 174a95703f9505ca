"""`report.json` of a run, as far as publishing and loading depend on it."""

from typing import Annotated, Any

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    computed_field,
    model_validator,
)
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.idle import Circumstances, idle_settings
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.stage3.text import visible
from clustering_tasks.workspace.storage import read_json


def _known_level(name: str) -> str:
    if name not in LEVELS:
        raise ValueError(f"no such level; known are {', '.join(LEVELS)}")
    return name


def _seen_whole(name: str) -> str:
    if visible(name) != name:
        raise ValueError("it has characters that nobody sees")
    return name


LevelName = Annotated[str, AfterValidator(_known_level)]
Count = Annotated[int, Field(ge=0)]
# Part of a file's name, so it must not lead out of its folder.
JobId = Annotated[
    str, Field(pattern=r"^[^./\\\s][^/\\\s]*$", max_length=200), AfterValidator(_seen_whole)
]


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


class GoesOnFrom(BaseModel):
    """Which registry of ids a run's ids go on from; both None for none."""

    model_config = ConfigDict(frozen=True)

    base: str | None
    base_digest: str | None


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
    goes_on_from: GoesOnFrom | None = None  # None: not recorded, by an earlier version

    @computed_field  # type: ignore[prop-decorator]
    @property
    def idle_settings(self) -> list[dict[str, Any]]:
        """Settings of the caller's that had no effect: `setting`, `value`, `reason`."""
        return self.without_effect(database=True, map=True)

    def without_effect(self, *, database: bool, map: bool) -> list[dict[str, Any]]:  # noqa: A002
        """List the settings of the caller's that had no effect, as JSON.

        Args:
            database: whether the run is loaded into the database.
            map: whether the run has drawn the map.
        """
        here = Circumstances(
            level=LEVELS[self.level],
            algorithm=self.algorithm,
            items=self.counts.read,
            searches=self._searches(),
            database=database,
            map=map,
            llm=self.settings.llm.labels is False or bool((self.model_extra or {}).get("llm")),
        )
        return [each.record() for each in idle_settings(self.settings, here)]

    def _searches(self) -> frozenset[str] | None:
        neighbours = (self.model_extra or {}).get("neighbours")
        made = neighbours.get("neighbour_search") if isinstance(neighbours, dict) else None
        return frozenset(made.split()) if isinstance(made, str) else None


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
