"""`clusters/<id>/lineage`: an id's history; and where the members of a former id are."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from stage4.api import cursors
from stage4.api.models.corrections import NAMED_ITEMS, Correction
from stage4.api.models.identities import Identity, Lineage, LineageRow, Successor, Successors
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import (
    DEFAULT_ROWS,
    ClusterIdPath,
    CursorText,
    Limit,
    LoadParameters,
    level_of,
)
from stage4.api.pool import Reader, Row
from stage4.api.problems import AnswerError, ProblemError, respond
from stage4.api.queries import identities as stored
from stage4.api.queries.clusters import named_clusters
from stage4.api.queries.corrections import corrections_about, with_names
from stage4.api.queries.runs import RunKey
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(prefix="/clusters", tags=["clusters"])

_RECENT_ROWS = 20  # of the history, in an answer that there is no such cluster any more
_STATES = {
    "active": "is being deleted",
    "merged": "went into another cluster, which has ended since",
    "split": "was split, and its parts have ended since",
    "dormant": "is no cluster of the published run; a later run may have it again",
    "ended": "has ended",
    "deleted": "was deleted with its documents",
}


class LineageParameters(BaseModel):
    """Which page of the history."""

    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("/{cluster_id}/lineage", response_model=Lineage, responses=OF_A_RUN)
async def read_lineage(
    cluster_id: ClusterIdPath,
    asked: Annotated[LineageParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Lineage:
    """Tell what an id is by now, and what became of it in each run, the newest first, in pages.

    Runs that changed nothing (`continued`) are listed as long as runs are kept.
    """
    level = level_of(cluster_id)
    await access.check(level)
    page = cursors.page({"of": "lineage", "id": cluster_id}, asked.limit, asked.cursor)
    async with services.database.reader() as connection:
        identity = await stored.read_identity(connection, cluster_id)
        if identity is None:
            raise _never_published(cluster_id)
        rows = await stored.read_lineage(connection, cluster_id, after=page.after, limit=page.rows)
        about = [] if page.cursor else await corrections_about(connection, level, cluster_id)
        about = await with_names(connection, about, NAMED_ITEMS)
    shown, following = page.cut(rows, stored.sort_key)
    lineage = [LineageRow(**row) for row in shown]
    corrections = [Correction(**row) for row in about]
    return Lineage(**identity, lineage=lineage, corrections=corrections, next_cursor=following)


async def absent(
    connection: Reader, request: Request, run: RunKey, cluster_id: str, asked: LoadParameters
) -> ProblemError:
    """Make the answer for a cluster that a run does not have.

    Args:
        connection: to read from.
        request: that asks for it, by an address with its id.
        run: that was read.
        cluster_id: of the cluster.
        asked: 404 where it names a run; else the answer follows the id.
    """
    if not asked.is_current:
        return ProblemError(
            HTTPStatus.NOT_FOUND,
            f"Load {run.load_id} of {run.level} has no cluster {cluster_id}: "
            f"`GET clusters/{cluster_id}/lineage` names the runs that have it.",
        )
    identity = await stored.read_identity(connection, cluster_id)
    if identity is None:
        return _never_published(cluster_id)
    ends, was_split = await stored.follow(connection, cluster_id)
    living = [row for row in ends if row["state"] == "active"]
    if identity["state"] not in ("merged", "split") or not living:
        return AnswerError(await _gone(connection, request, identity))
    if was_split:
        return AnswerError(await _choices(connection, run, identity, ends))
    return AnswerError(_moved(request, cluster_id, living[0]["cluster_id"]))


def _never_published(cluster_id: str) -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, f"No published run ever had a cluster {cluster_id}.")


def _moved(request: Request, old: str, new: str) -> Response:
    """Lead to the successor: relative, because a proxy may have cut the path before it came."""
    rest = request.url.path.rpartition(old)[2]
    target = f"{'../' * rest.count('/')}{new}{rest}"
    query = f"?{request.url.query}" if request.url.query else ""
    return respond(
        request,
        HTTPStatus.PERMANENT_REDIRECT,
        f"Cluster {old} went into {new}: follow `Location`.",
        headers={"Location": target + query},
    )


async def _choices(
    connection: Reader, run: RunKey, identity: Mapping[str, Any], ends: list[Row]
) -> Response:
    """Name the clusters that a split has led to."""
    rows = await named_clusters(connection, run, [row["cluster_id"] for row in ends])
    found = {row["cluster_id"]: row for row in rows}
    nothing = {"label": None, "size": None}
    choices = [Successor(**{**nothing, **found.get(row["cluster_id"], {}), **row}) for row in ends]
    choices.sort(key=lambda each: -(each.size or 0))
    answer = Successors(**identity, choices=choices)
    return JSONResponse(answer.model_dump(mode="json"), HTTPStatus.MULTIPLE_CHOICES)


async def _gone(connection: Reader, request: Request, identity: Mapping[str, Any]) -> Response:
    cluster_id = identity["cluster_id"]
    rows = await stored.read_lineage(connection, cluster_id, after=None, limit=_RECENT_ROWS)
    more = {
        "identity": Identity(**identity).model_dump(mode="json"),
        "lineage": [LineageRow(**row).model_dump(mode="json") for row in rows],
    }
    return respond(
        request,
        HTTPStatus.GONE,
        f"Cluster {cluster_id} {_STATES[identity['state']]}; last seen in "
        f"{identity['last_seen_job']}.",
        more=more,
    )
