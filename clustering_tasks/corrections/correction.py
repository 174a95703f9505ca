"""One correction by a person."""

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from clustering_tasks.stage3.ids import LONGEST_VECTOR_ID, id_problem
from clustering_tasks.stage3.text import clean

Kind = Literal["together", "apart", "rename", "pin", "hide"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LINKS: tuple[Kind, ...] = ("together", "apart")  # about items; the others are about a cluster

MOST_ITEMS = 200  # of one correction
LONGEST_LABEL = 200
CLUSTER_ID = r"^(document|event|entity|storyline)_[0-9a-f]{12}$"


def _id(text: str) -> str:
    if problem := id_problem(text, LONGEST_VECTOR_ID):
        raise ValueError(f"the id {text[:60]!r} {problem}")
    return text


def _label(text: str) -> str:
    """Make one visible line of a label.

    Raises:
        ValueError: nothing of it is visible, or it is too long.
    """
    shown = clean(text)
    if not shown:
        raise ValueError("a label needs text that can be seen")
    if len(shown) > LONGEST_LABEL:
        raise ValueError(f"a label has {LONGEST_LABEL} characters at most, this one {len(shown):,}")
    return shown


ItemId = Annotated[str, AfterValidator(_id)]
Items = Annotated[tuple[ItemId, ...], Field(max_length=MOST_ITEMS)]
Label = Annotated[str, Field(max_length=20 * LONGEST_LABEL), AfterValidator(_label)]


class Correction(BaseModel):
    """What a person decided.

    Attributes:
        correction_id: ascending in the order of time: the earlier of two that contradict holds.
        kind: `together`: the items are one story. `apart`: no cluster holds one of `items` and
            one of `others`; `items` leave. `rename`, `pin`, `hide`: of a cluster.
        items: vector ids, or source ids, which stand for all vectors of the item.
        others: of `apart`.
        cluster_id: of `rename`, `pin` and `hide`.
        label: of `rename`.
        documents: of the items, so that their deletion finds the correction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    correction_id: int = Field(ge=1)
    kind: Kind
    items: Items = ()
    others: Items = ()
    cluster_id: str | None = Field(None, pattern=CLUSTER_ID)
    label: Label | None = None
    documents: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if problem := self._problem():
            raise ValueError(f"`{self.kind}` {problem}")
        return self

    def _problem(self) -> str | None:
        if self.kind in LINKS:
            return self._links_problem()
        if self.cluster_id is None:
            return "takes a `cluster_id`"
        if self.items or self.others:
            return "takes a `cluster_id` and no items"
        if (self.label is None) == (self.kind == "rename"):
            return "takes a `label`" if self.kind == "rename" else "takes no `label`"
        return None

    def _links_problem(self) -> str | None:
        if self.cluster_id is not None or self.label is not None:
            return "takes items, no `cluster_id` and no `label`"
        if self.kind == "together":
            return _together_problem(set(self.items), self.others)
        if not self.items or not self.others:
            return "takes `items`, which leave, and `others`, which stay"
        if both := sorted({*self.items} & {*self.others}):
            return f"names {both[0]!r} on both sides"
        return None


def _together_problem(items: set[str], others: tuple[str, ...]) -> str | None:
    if others:
        return "takes `items` and no `others`"
    return "takes two items at least" if len(items) < 2 else None
