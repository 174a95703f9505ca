"""`map`: where a level's clusters and members lie in the plane, a view at a time."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from stage4.api.models.map import MapClusters, MapMembers, MapView
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import LevelPath, LoadParameters
from stage4.api.pool import Row
from stage4.api.problems import ProblemError
from stage4.api.queries import points
from stage4.api.queries.corrections import marked_clusters
from stage4.api.queries.runs import RunKey, find_run
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(tags=["map"])

MOST_POINTS = 5000
_LABELLED = 300  # more labels than these nobody can read at once
_NUMBER = r"-?\d{1,3}(\.\d{1,9})?"


class ViewParameters(LoadParameters):
    """Which part of which map, and how much of it."""

    bbox: str = Field(
        "-2,-2,2,2",
        pattern=rf"^{_NUMBER}(,{_NUMBER}){{3}}$",
        max_length=60,
        description="Left, bottom, right, top. Clusters lie between -1 and 1.",
    )
    limit: int = Field(MOST_POINTS, ge=1, le=MOST_POINTS, description="Points of the view.")


@router.get("/map/{level}", response_model=MapView, responses=OF_A_RUN)
async def read_map(
    level: LevelPath,
    asked: Annotated[ViewParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """Read a view of a level's map: of its points those that matter most, large clusters first."""
    await access.check(level)
    rectangle = points.Rectangle(*map(float, asked.bbox.split(",")))
    async with services.database.reader() as connection:
        run = await find_run(connection, level, asked.load_id, asked.published_at)
        hidden = (await marked_clusters(connection, level)).hidden

        async def make() -> MapView:
            rows = await points.read_view(connection, run, rectangle, asked.limit + 1)
            if not rows and not await points.has_map(connection, run):
                raise ProblemError(
                    HTTPStatus.NOT_FOUND,
                    f"Load {run.load_id} of {level} has no map: it has no clusters, was loaded "
                    "before there were maps, or its task `map` failed. The next run has one.",
                )
            return view_of(run, rows, asked.limit, hidden)

        question = {"of": "map", "limit": asked.limit, "hidden": hidden} | vars(rectangle)
        return await services.cache.answer(run, question, make)


def view_of(
    run: RunKey, rows: list[Row], limit: int, hidden: Collection[str] = frozenset()
) -> MapView:
    """Make a view of its points, of which there is one more than `limit` where there are more.

    Args:
        run: that the map is of.
        rows: of the points.
        limit: most points.
        hidden: ids of clusters that people hid.
    """
    shown = rows[:limit]
    return MapView(
        level=run.level,
        load_id=run.load_id,
        complete=len(rows) == len(shown),
        clusters=_clusters([row for row in shown if row["kind"] == "cluster"], hidden),
        members=_members([row for row in shown if row["kind"] == "member"]),
    )


def _clusters(rows: list[Row], hidden: Collection[str]) -> MapClusters:
    columns: dict[str, Any] = _columns(rows, ("cluster_id", "size", "group", "x", "y"))
    return MapClusters(
        **columns,
        label=[row["label"] for row in rows[:_LABELLED]],
        hidden=[row["cluster_id"] in hidden for row in rows],
    )


def _members(rows: list[Row]) -> MapMembers:
    return MapMembers(**_columns(rows, ("vector_id", "cluster_id", "x", "y")))


def _columns(rows: list[Row], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: [row[name] for row in rows] for name in names}
