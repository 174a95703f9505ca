"""Answers about cluster ids, which outlive their runs."""

from datetime import datetime

from pydantic import BaseModel, Field

from clustering_tasks.identity.words import Change, State
from stage4.api.models.corrections import Correction
from stage4.api.models.shared import Line, Page
from stage4.api.parameters import LevelName
from stage4.database.changes import IdChange


class Identity(BaseModel):
    """What an id is by now."""

    cluster_id: str
    level: LevelName
    state: State = Field(
        description="`active`: a cluster of the published run; `merged`: it went into "
        "`successors[0]`; `split`: its members went into `successors`, none of which keeps the id; "
        "`dormant`: no cluster of the published run, and one may be it again; `ended`: for ever "
        "gone; `deleted`: its documents were deleted, but for one member at most."
    )
    born_job: str = Field(description="The run that gave the id.")
    born_at: datetime = Field(description="Moment that this run stands for.")
    last_seen_job: str = Field(description="The last run with this cluster.")
    last_seen_at: datetime = Field(description="Moment that this run stands for.")
    successors: list[str] = Field(description="Ids; empty unless it was merged or split.")
    version: int = Field(description="1 at birth, one more whenever the members change.")


class RelatedId(BaseModel):
    """A cluster of an earlier run that shares members, or of a later one for an id that went."""

    cluster_id: str
    shared: int = Field(description="Members of both.")
    of_it: float = Field(description="Their share of the related cluster's members.")
    of_this: float = Field(description="Their share of this cluster's members.")


class LineageRow(BaseModel):
    """What became of an id in one run."""

    job_id: str
    load_id: int = Field(description="Of the run; it may have been removed.")
    as_of: datetime = Field(description="Moment that the run stands for.")
    change: Change = Field(
        description="`merged` and `split` of a cluster of the run: other ids went into it, or came "
        "out of it, and it keeps its id. `absorbed`: it went into another; `split` with size 0: "
        "into several."
    )
    size: int = Field(description="Members in the run; 0: no cluster of it.")
    related: list[RelatedId] = Field(description="The most shared members first.")
    withdrawn: bool = Field(description="Whether a roll-back went behind the run.")


class Lineage(Page, Identity):
    """An id and a page of its history, the newest run first."""

    lineage: list[LineageRow]
    corrections: list[Correction] = Field(
        description="What people corrected about the id, or about items that the cluster holds "
        "now: the newest 50, on the first page alone. `GET corrections` lists all."
    )


class Successor(BaseModel):
    """Where members of a former id are."""

    cluster_id: str
    state: State
    label: Line | None = Field(description="Null unless it is a cluster of the published run.")
    size: int | None = Field(description="Null unless it is a cluster of the published run.")


class Successors(Identity):
    """With 300: a former id whose members are in several others."""

    choices: list[Successor] = Field(description="The largest first.")


class IdChangeRow(BaseModel):
    """What became of an id from one load to another."""

    cluster_id: str
    change: IdChange
    label: Line = Field(description="In the other load; in the base when the id is not there.")
    size_before: int | None = Field(description="Members in the base; null: not there.")
    size: int | None = Field(description="Members in the other load; null: not there.")
    shared: int = Field(description="Members of the id in both loads.")
    successors: list[str] = Field(description="Of an id that was merged or split.")


class IdChanges(Page):
    """What became of the ids from one load to another, sorted by id."""

    level: LevelName
    base: int = Field(description="Number of the load that is the base.")
    other: int = Field(description="Number of the other load.")
    changes: list[IdChangeRow]
