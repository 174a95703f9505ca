"""What a correction is, as it is asked for and as it is answered."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from clustering_tasks.corrections.correction import CLUSTER_ID, LONGEST_LABEL, MOST_ITEMS, Kind
from clustering_tasks.stage3.ids import ID_PATTERN, LONGEST_VECTOR_ID
from stage4.api.models.shared import Line, Page
from stage4.api.parameters import Level, LevelName

_MOST_CLUSTERS = 20
_LONGEST_REASON = 1000
NAMED_ITEMS = 5

_ItemId = Annotated[str, Field(min_length=1, max_length=LONGEST_VECTOR_ID, pattern=ID_PATTERN)]
_Items = Annotated[list[_ItemId], Field(max_length=MOST_ITEMS)]
_ClusterId = Annotated[str, Field(pattern=CLUSTER_ID)]


class NewCorrection(BaseModel):
    """What a person decides."""

    model_config = ConfigDict(extra="forbid")

    level: Level
    kind: Kind = Field(
        description="`together`: all `items` and `clusters` are one story. `apart`: `items` are in "
        "no cluster with one of `others`, or with the story of `cluster_id`. `rename`, `pin`, "
        "`hide`: of `cluster_id`."
    )
    items: _Items = Field([], description="Vector ids, or source ids, of the published run.")
    others: _Items = Field([], description="Of `apart`: vector ids or source ids that stay.")
    clusters: list[_ClusterId] = Field(
        [],
        max_length=_MOST_CLUSTERS,
        description="Of `together`: clusters, for which their most central members stand.",
    )
    cluster_id: _ClusterId | None = Field(
        None, description="Of all kinds but `together`: a cluster of the published run."
    )
    label: str | None = Field(
        None,
        min_length=1,
        max_length=20 * LONGEST_LABEL,
        description=f"Of `rename`: one line, {LONGEST_LABEL} characters at most; markup and what "
        "nobody sees is taken out.",
    )
    reason: str = Field("", max_length=_LONGEST_REASON, description="Why, for those who read it.")


class Correction(BaseModel):
    """A correction as it is kept."""

    correction_id: int
    level: LevelName
    kind: Kind
    items: list[str] = Field(description="Vector ids.")
    others: list[str] = Field(description="Vector ids.")
    cluster_id: str | None
    label: Line | None
    clusters: list[str] = Field(
        description="Of `together` and `apart`: clusters that were named, for which items stand."
    )
    reason: Line
    made_by: Line
    made_at: datetime
    undone_by: Line | None
    undone_at: datetime | None
    names: dict[str, Line] = Field(
        description="By id, as far as the published run has them: labels of the clusters, titles "
        f"of the first {NAMED_ITEMS} items and others."
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def state(self) -> Literal["holds", "undone"]:
        """`holds`: the runs that start from now on apply it."""
        return "holds" if self.undone_at is None else "undone"


class CorrectionAnswer(Correction):
    """A correction after a request that makes it or takes it back."""

    changed: bool = Field(
        description="Whether the request has changed anything: false where the same correction "
        "holds already, or is undone already."
    )


class CorrectionPage(Page):
    """A page of corrections, newest first."""

    corrections: list[Correction]
