"""Answers about items and documents: where they have come to, and a deletion."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, computed_field

from stage4.api.models.clusters import ClusterSummary
from stage4.api.models.shared import CUT, Fields, Line, OfLoad, Page
from stage4.api.parameters import LevelName

Status = Literal["clustered", "noise", "filtered", "unassigned"]


class ItemTag(BaseModel):
    """A tag that an item got beside Stage 3's."""

    category: Line
    tag: Line
    confidence: float = Field(
        description="Of `cluster`: the tag's confidence there times the item's probability."
    )
    source: Literal["cluster", "text"] = Field(
        description="Whether its cluster has it, or its text has a listed phrase."
    )


class Member(BaseModel):
    """An item and where it has come to."""

    vector_id: str
    source_id: str
    document_id: str | None
    status: Status
    assignment: Literal["core", "nearest", "individual"] | None
    probability: float | None
    similarity: float | None = Field(description="Cosine to its cluster's centroid.")
    occurred_at: datetime | None
    tags: list[ItemTag] = Field(description="Beside Stage 3's own, which are in `metadata`.")
    near_duplicate_of: str | None = Field(
        description="Source id of the member of its cluster that it is a near-duplicate of; null: "
        "of none, or it stands for the others."
    )
    metadata: Fields = Field(
        description=f"As Stage 3 wrote it, at most 200 fields of 4,096 characters. {CUT}"
    )


class MemberPage(OfLoad, Page):
    """A page of a cluster's members."""

    level: LevelName
    cluster_id: str
    members: list[Member]


class Item(OfLoad, Member):
    """An item of a run, with its cluster."""

    level: LevelName
    vectors: int = Field(
        description="Vectors of this item. Of several (chunks), the surest member of a cluster is "
        "shown."
    )
    cluster_id: str | None
    cluster: ClusterSummary | None


class ClusterOfDocument(ClusterSummary):
    """A cluster that has items of a document."""

    items: int = Field(description="Members that are of the document.")


class DocumentLevel(OfLoad):
    """Where a document's items have come to at one level."""

    level: LevelName
    items: int
    statuses: dict[Status, int] = Field(description="Items by status.")
    clusters_total: int
    clusters: list[ClusterOfDocument] = Field(description="Those with most of its items first.")


class DocumentClusters(BaseModel):
    """A document's clusters at every level that the user may read."""

    document_id: str
    levels: list[DocumentLevel]


class DeletedCounts(BaseModel):
    """What a document's deletion took out of one level when it was asked for."""

    items: int
    clusters: int
    runs: int


class Deletion(BaseModel):
    """A document's deletion: hidden by now, and carried out by the DAG `delete_document`."""

    deletion_id: int
    state: Literal["requested", "done"]
    requested_at: datetime
    carried_out_at: datetime | None
    counts: dict[str, DeletedCounts] = Field(description="By level, over all runs.")

    @computed_field(  # type: ignore[prop-decorator]
        description="Whether a run had an item of the document. If not, nothing is known of it"
        " yet, and the deletion stands: what Stage 3 delivers of it later is left out."
    )
    @property
    def known(self) -> bool:
        """Whether a run had an item of the document."""
        return bool(self.counts)
