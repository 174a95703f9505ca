"""Answers about the map."""

from pydantic import BaseModel, Field

from stage4.api.models.shared import Line, OfLoad
from stage4.api.parameters import LevelName


class MapClusters(BaseModel):
    """Clusters of a view, the largest first; the lists belong together place by place."""

    cluster_id: list[str]
    size: list[int]
    group: list[Line | None] = Field(description="Domain; of entities without one, their type.")
    x: list[float]
    y: list[float]
    label: list[Line | None] = Field(description="Of the first ones only.")
    hidden: list[bool] = Field(description="Whether a person hid it: lists omit it.")


class MapMembers(BaseModel):
    """Members of a view, a sample; the lists belong together place by place."""

    vector_id: list[str]
    cluster_id: list[str]
    x: list[float]
    y: list[float]


class MapView(OfLoad):
    """A part of a level's map."""

    level: LevelName
    complete: bool = Field(description="Whether these are all points that are stored of it.")
    clusters: MapClusters
    members: MapMembers
