"""`runs`: what was loaded when, and what readers see; `statistics`: how much that is."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from stage4.api import cursors
from stage4.api.models import LevelStatistics, Run, RunPage, RunState, RunSummary, Statistics
from stage4.api.parameters import DEFAULT_ROWS, CursorText, Level, LevelPath, Limit, RunPath
from stage4.api.queries import runs as stored
from stage4.api.routes.clusters import GONE
from stage4.api.security import Access, AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(tags=["runs"])


class RunParameters(BaseModel):
    """Which runs, and which page of them."""

    level: Level | None = Field(None, description="Default: all that the user may read.")
    state: RunState | None = None
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("/runs", response_model=RunPage)
async def list_runs(
    asked: Annotated[RunParameters, Query()], access: AccessDep, services: ServicesDep
) -> RunPage:
    """List loads, newest first, in pages."""
    levels = await levels_of(access, asked.level)
    question = {"of": "runs"} | asked.model_dump(exclude={"limit", "cursor"})
    cursor = cursors.decode(asked.cursor, question) if asked.cursor else None
    async with services.database.reader() as connection:
        rows = await stored.list_runs(
            connection,
            levels,
            state=asked.state,
            before=cursor.key[0] if cursor else None,
            limit=asked.limit + 1,
        )
    page, following = cursors.cut(
        rows, asked.limit, run_id=None, key=lambda row: (row["run_id"],), question=question
    )
    return RunPage(runs=[RunSummary(**row) for row in page], next_cursor=following)


@router.get("/runs/{level}/{run_id}", response_model=Run, responses=GONE)
async def read_run(
    level: LevelPath, run_id: RunPath, access: AccessDep, services: ServicesDep
) -> Run:
    """Read a load with its report."""
    await access.check(level)
    async with services.database.reader() as connection:
        run = await stored.find_run(connection, level, run_id)
        return Run(**await stored.read_run(connection, run))


@router.get("/statistics", response_model=Statistics)
async def read_statistics(access: AccessDep, services: ServicesDep) -> Statistics:
    """Sum up what the levels hold that the user may read."""
    levels = await access.readable()
    async with services.database.reader() as connection:
        current = await stored.published_runs(connection, levels)
        counts = await stored.count_runs(connection, levels)
    by_level = {row["level"]: RunSummary(**row) for row in current}
    return Statistics(
        levels=[
            LevelStatistics(level=level, runs=counts.get(level, 0), current=by_level.get(level))
            for level in levels
        ],
        items=sum(run.read for run in by_level.values()),
        clusters=sum(run.clusters for run in by_level.values()),
    )


async def levels_of(access: Access, level: str | None) -> list[str]:
    """Name the levels that a list is about: the one asked for, or all that the user may read.

    Raises:
        ProblemError: 403.
    """
    if level is None:
        return await access.readable()
    await access.check(level)
    return [level]
