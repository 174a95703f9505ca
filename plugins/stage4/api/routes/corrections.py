"""`corrections`: what people decided about items and clusters, and how it is taken back."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from clustering_tasks.corrections.correction import CLUSTER_ID, Kind
from clustering_tasks.corrections.correction import Correction as Decision
from clustering_tasks.stage3.text import clean
from stage4.api import cursors
from stage4.api.models.corrections import (
    NAMED_ITEMS,
    Correction,
    CorrectionAnswer,
    CorrectionPage,
    NewCorrection,
)
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import DEFAULT_ROWS, CursorText, Level, Limit, level_of
from stage4.api.pool import connected
from stage4.api.problems import AnswerError, ProblemError, respond
from stage4.api.queries.corrections import Wanted, list_corrections, with_names
from stage4.api.queries.runs import find_run
from stage4.api.security import Access, AccessDep, own_page
from stage4.api.services import Services, ServicesDep
from stage4.database import corrections as stored
from stage4.database.connection import Database
from stage4.database.corrected_items import (
    Asked,
    Named,
    NothingPublishedError,
    UnknownNamesError,
    find_named,
)

log = structlog.get_logger()
router = APIRouter(prefix="/corrections", tags=["corrections"])

_SHOWN = 10  # names in a refusal
_LARGEST_BIGINT = 2**63 - 1
CorrectionPath = Annotated[
    int, Path(ge=1, le=_LARGEST_BIGINT, description="Number of a correction.")
]


class ListParameters(BaseModel):
    """Which corrections, and which page of them."""

    level: Level | None = Field(None, description="Default: all that the user may read.")
    kind: Kind | None = None
    holds: bool | None = Field(None, description="`false`: those that are undone. Default: both.")
    cluster_id: str | None = Field(
        None,
        pattern=CLUSTER_ID,
        description="Only those about this cluster, or about items that it holds now.",
    )
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("", response_model=CorrectionPage, responses=OF_A_RUN)
async def list_all(
    asked: Annotated[ListParameters, Query()], access: AccessDep, services: ServicesDep
) -> CorrectionPage:
    """List corrections, newest first, in pages."""
    if asked.cluster_id is not None:
        level = level_of(asked.cluster_id)
        if asked.level not in (None, level):
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"`cluster_id` is of {level}, not of {asked.level}: leave `level` out.",
            )
        levels = await access.levels(level)
    else:
        levels = await access.levels(asked.level)
    page = cursors.page(
        {"of": "corrections"} | asked.model_dump(exclude={"limit", "cursor"}),
        asked.limit,
        asked.cursor,
    )
    wanted = Wanted(levels, asked.kind, asked.holds, asked.cluster_id)
    async with services.database.reader() as connection:
        run = None if asked.cluster_id is None else await find_run(connection, levels[0])
        rows = await list_corrections(connection, wanted, run, before=page.before, limit=page.rows)
        shown, following = page.cut(rows, lambda row: (row["correction_id"],))
        named = await with_names(connection, shown, NAMED_ITEMS)
    return CorrectionPage(corrections=[Correction(**row) for row in named], next_cursor=following)


@router.post(
    "",
    response_model=CorrectionAnswer,
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(own_page)],
    responses={
        200: {
            "description": "The same correction holds already; `changed` is false.",
            "model": CorrectionAnswer,
        },
        404: {"description": "The published run lacks an item or a cluster; all are named."},
        409: {"description": "It contradicts earlier corrections; `against` has their numbers."},
    },
)
async def correct(
    new: NewCorrection,
    access: AccessDep,
    services: ServicesDep,
    request: Request,
    answer: Response,
) -> CorrectionAnswer:
    """Correct the clusters; the runs that start from now on apply it.

    `hide` and `pin` act on lists and searches at once. A second `rename` of a cluster undoes the
    first. What would change nothing of the published run is refused (422): the name that a cluster
    has, an item that leaves a cluster in which it is not, or joins the one in which it is.
    """
    await _check(access, new.level)
    _check_level(new)
    try:
        row, made = await run_in_threadpool(connected, lambda to: _enter(to, new, access))
    except stored.ContradictionError as error:
        raise AnswerError(_against(request, error.against)) from None
    if not made:
        answer.status_code = HTTPStatus.OK
    return await _shown_row(services, row, changed=made)


@router.delete(
    "/{correction_id}",
    response_model=CorrectionAnswer,
    dependencies=[Depends(own_page)],
    responses={404: {"description": "There is no such correction."}},
)
async def undo(
    correction_id: CorrectionPath, access: AccessDep, services: ServicesDep
) -> CorrectionAnswer:
    """Take a correction back; its row stays. Asking again changes nothing."""
    await access.readable()  # before it tells which numbers there are
    rows = await run_in_threadpool(connected, lambda to: stored.read(to, [correction_id]))
    if not rows:
        raise _no_correction(correction_id)
    await _check(access, rows[0].level)
    by = access.user.get_name()
    row, undone = await run_in_threadpool(connected, lambda to: stored.undo(to, correction_id, by))
    if row is None:  # erased meanwhile, with a document
        raise _no_correction(correction_id)
    return await _shown_row(services, row, changed=undone)


async def _shown_row(services: Services, row: stored.Row, *, changed: bool) -> CorrectionAnswer:
    shown = {name: value for name, value in vars(row).items() if name != "documents"}
    async with services.database.reader() as connection:
        [named] = await with_names(connection, [shown], NAMED_ITEMS)
    return CorrectionAnswer(**named, changed=changed)


async def _check(access: Access, level: str) -> None:
    await access.check(level)
    await access.check_write(level)


def _check_level(new: NewCorrection) -> None:
    named = [*new.clusters, *([new.cluster_id] if new.cluster_id else [])]
    if others := [name for name in named if level_of(name) != new.level]:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The correction is of the level {new.level}, and not of this level: "
            f"{_list(others)}. A correction is of one level.",
        )


def _enter(connection: Database, new: NewCorrection, access: Access) -> tuple[stored.Row, bool]:
    try:
        with connection.transaction():
            # Who deletes a document waits, and then finds this; or this finds no more items of it.
            connection.execute(stored.LOCK_TIMEOUT)
            connection.execute("LOCK TABLE stage4.deletions IN SHARE MODE")
            named, decision = _decision(connection, new)
            row, made = stored.enter(
                connection,
                new.level,
                decision,
                reason=clean(new.reason),
                by=access.user.get_name(),
                clusters=_clusters(new),
            )
            if made and (why := _idle(new, named, decision)):
                raise _invalid(why)  # and nothing is entered: the transaction ends
            return row, made
    except UnknownNamesError as error:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"The published run of {new.level} has no {_list(error.names)}: items are named by "
            "their vector id or source id, clusters by their id, all of this level.",
        ) from None
    except NothingPublishedError:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"No run of {new.level} is published.") from None
    except stored.TooManyError:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"{new.level} has {stored.MOST_HELD:,} corrections that hold, which is the most: undo "
            "some that are no longer needed.",
        ) from None


def _clusters(new: NewCorrection) -> list[str]:
    left = [new.cluster_id] if new.kind == "apart" and new.cluster_id else []
    return [*dict.fromkeys([*new.clusters, *left])]


def _idle(new: NewCorrection, named: Named, decision: Decision) -> str | None:
    """Say why a correction that does not hold yet would leave the published run as it is."""
    if decision.label is not None and decision.label == named.own_name:
        return f"`{new.cluster_id}` is called `{decision.label}` already"
    if decision.kind == "apart" and new.cluster_id is not None and named.outside:
        return f"`{new.cluster_id}` does not hold {_list(named.outside)}, which cannot leave it"
    if decision.kind == "together" and named.all_inside:
        return f"`{new.clusters[0]}` holds {_list(new.items)} already"
    return None


def _decision(connection: Database, new: NewCorrection) -> tuple[Named, Decision]:
    asked = Asked(
        new.level,
        new.kind,
        tuple(new.items),
        tuple(new.others),
        tuple(new.clusters),
        new.cluster_id,
        new.label,
    )
    if new.clusters and new.kind != "together":
        raise _invalid(f"`{new.kind}` takes no `clusters`")
    if twice := sorted({name for name in new.clusters if new.clusters.count(name) > 1}):
        raise _invalid(f"`clusters` names {_list(twice)} more than once")
    if new.kind == "together" and len(new.clusters) == 1 and not new.items:
        raise _invalid(f"`{clean(new.clusters[0])}` alone is one story: name another, or items")
    named = find_named(connection, asked)
    try:
        return named, Decision(
            correction_id=stored.NEWEST,
            kind=new.kind,
            items=named.items,
            others=named.others,
            cluster_id=None if new.kind == "apart" else new.cluster_id,
            label=new.label,
            documents=named.documents,
        )
    except ValidationError as error:
        messages = (each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise _invalid("; ".join(messages)) from None


def _invalid(why: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"This is no correction: {why}.")


def _against(request: Request, rows: list[stored.Row]) -> Response:
    shown = [
        f"{row.correction_id} ({row.kind}, by {clean(row.made_by)} on {row.made_at:%Y-%m-%d})"
        for row in rows[:_SHOWN]
    ]
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return respond(
        request,
        HTTPStatus.CONFLICT,
        f"It contradicts correction {', '.join(shown)}{more}: undo what is wrong and try again.",
        more={"against": [row.correction_id for row in rows]},
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{clean(name)[:80]}`" for name in names[:_SHOWN]) + more


def _no_correction(correction_id: int) -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, f"There is no correction {correction_id}.")
