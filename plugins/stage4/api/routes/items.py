"""`items`: what became of an item."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from stage4.api.models.clusters import ClusterSummary
from stage4.api.models.items import Item
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import ItemPath, LevelPath, LoadParameters
from stage4.api.problems import ProblemError
from stage4.api.queries.clusters import named_clusters
from stage4.api.queries.members import read_item
from stage4.api.queries.runs import find_run
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(prefix="/items", tags=["items"])


@router.get("/{level}/{source_id:path}", response_model=Item, responses=OF_A_RUN)
async def find_item(
    level: LevelPath,
    source_id: ItemPath,
    asked: Annotated[LoadParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Item:
    """Tell an item's status, and its cluster where it has one."""
    await access.check(level)
    async with services.database.reader() as connection:
        run = await find_run(connection, level, asked.load_id, asked.published_at)
        row = await read_item(connection, run, source_id)
        if row is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"Load {run.load_id} of {level} has read no such item: Stage 3 had none.",
            )
        clusters = (
            await named_clusters(connection, run, [row["cluster_id"]]) if row["cluster_id"] else []
        )
    cluster = ClusterSummary(**clusters[0]) if clusters else None
    return Item(**row, level=run.level, load_id=run.load_id, cluster=cluster)
