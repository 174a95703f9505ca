"""`runs`: what was loaded when, and what readers see; `statistics`: how much that is."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from stage4.api import cursors
from stage4.api.models.identities import IdChangeRow, IdChanges
from stage4.api.models.runs import (
    ChangeSummary,
    ClusterChange,
    Comparison,
    LevelStatistics,
    Run,
    RunPage,
    RunState,
    RunSummary,
    Statistics,
)
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import (
    DEFAULT_ROWS,
    CursorText,
    Level,
    LevelPath,
    Limit,
    LoadId,
    LoadPath,
)
from stage4.api.pool import Reader
from stage4.api.problems import ProblemError
from stage4.api.queries import comparison
from stage4.api.queries import runs as stored
from stage4.api.queries.differences import Kind
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep
from stage4.database.changes import IdChange

router = APIRouter(tags=["runs"])


class RunParameters(BaseModel):
    """Which runs, and which page of them."""

    level: Level | None = Field(None, description="Default: all that the user may read.")
    state: RunState | None = None
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


class CompareParameters(BaseModel):
    """Which two runs, what of their difference, and which page of it."""

    base: LoadId = Field(description="Number of the earlier load.")
    other: LoadId | None = Field(
        None, description="Number of the later load; default: the published one."
    )
    kind: Kind | None = Field(None, description="Only clusters to which this happened.")
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


class IdChangesParameters(BaseModel):
    """Between which two loads, what became of ids, and which page of it."""

    base: LoadId = Field(description="Number of the load that a reader knows.")
    other: LoadId | None = Field(
        None, description="Number of the load that the reader wants; default: the published one."
    )
    change: IdChange | None = Field(None, description="Only ids of which this became.")
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("/runs", response_model=RunPage)
async def list_runs(
    asked: Annotated[RunParameters, Query()], access: AccessDep, services: ServicesDep
) -> RunPage:
    """List loads, newest first, in pages."""
    levels = await access.levels(asked.level)
    question = {"of": "runs"} | asked.model_dump(exclude={"limit", "cursor"})
    page = cursors.page(question, asked.limit, asked.cursor)
    async with services.database.reader() as connection:
        rows = await stored.list_runs(
            connection, levels, state=asked.state, before=page.before, limit=page.rows
        )
    shown, following = page.cut(rows, lambda row: (row["load_id"],))
    return RunPage(runs=[RunSummary(**row) for row in shown], next_cursor=following)


@router.get("/runs/{level}/compare", response_model=Comparison, responses=OF_A_RUN)
async def compare_runs(
    level: LevelPath,
    asked: Annotated[CompareParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """List what became of the clusters of a run in a later one, in pages.

    Clusters are linked by the items that they share. With a million items this takes seconds.
    """
    await access.check(level)
    async with services.database.reader() as connection:
        base = await stored.find_run(connection, level, asked.base)
        question = {"of": "compare.2", "level": level, "base": base.load_id, "kind": asked.kind}
        page = cursors.page(question, asked.limit, asked.cursor)
        other = await _other_load(connection, level, asked, base, page)

        async def make() -> Comparison:
            rows = await comparison.read_changes(
                connection, base, other, kind=asked.kind, after=page.after, limit=page.rows
            )
            summary = None
            if page.cursor is None:
                summary = await comparison.read_summary(connection, base, other)
            shown, following = page.cut(rows, comparison.sort_key, other.load_id)
            return Comparison(
                level=level,
                base=base.load_id,
                other=other.load_id,
                summary=None if summary is None else ChangeSummary(**summary),
                changes=[ClusterChange(**row) for row in shown],
                next_cursor=following,
            )

        # With the time of its last change: a deletion may change the base alone.
        kept = question | {"base": vars(base), "limit": asked.limit, "cursor": asked.cursor}
        return await services.cache.answer(other, kept, make)


@router.get("/runs/{level}/changes", response_model=IdChanges, responses=OF_A_RUN)
async def list_id_changes(
    level: LevelPath,
    asked: Annotated[IdChangesParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """List what became of each cluster id from one load to another, in pages.

    A copy of the base's clusters becomes one of the other load's: add `born` and `returned`,
    replace `changed` and `relabelled`, remove `merged`, `split`, `dormant`, `ended` and `deleted`.
    With a million items this takes seconds.
    """
    await access.check(level)
    async with services.database.reader() as connection:
        base = await stored.find_run(connection, level, asked.base)
        question = {"of": "changes", "level": level, "base": base.load_id, "change": asked.change}
        page = cursors.page(question, asked.limit, asked.cursor)
        other = await _other_load(connection, level, asked, base, page)

        async def make() -> IdChanges:
            rows = await comparison.read_id_changes(
                connection, base, other, change=asked.change, after=page.after, limit=page.rows
            )
            shown, following = page.cut(rows, lambda row: (row["cluster_id"],), other.load_id)
            return IdChanges(
                level=level,
                base=base.load_id,
                other=other.load_id,
                changes=[IdChangeRow(**row) for row in shown],
                next_cursor=following,
            )

        kept = question | {"base": vars(base), "limit": asked.limit, "cursor": asked.cursor}
        return await services.cache.answer(other, kept, make)


@router.get("/runs/{level}/{load_id}", response_model=Run, responses=OF_A_RUN)
async def read_run(
    level: LevelPath, load_id: LoadPath, access: AccessDep, services: ServicesDep
) -> Run:
    """Read a load with its report."""
    await access.check(level)
    async with services.database.reader() as connection:
        run = await stored.find_run(connection, level, load_id)
        return Run(**await stored.read_run(connection, run))


async def _other_load(
    connection: Reader,
    level: str,
    asked: CompareParameters | IdChangesParameters,
    base: stored.RunKey,
    page: cursors.Page,
) -> stored.RunKey:
    """Find the load that a base is compared with; it is not the base.

    Raises:
        ProblemError: 422, for the base itself, or a cursor of a list with another load; as
            `run_of_list`.
    """
    if asked.other is not None and page.load_id not in (None, asked.other):
        raise cursors.refused(f"it belongs to a list with `other`={page.load_id}")
    other = await stored.run_of_list(connection, level, asked.other, page.load_id)
    if base == other:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"`base` and `other` are both load {base.load_id}."
        )
    return other


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
