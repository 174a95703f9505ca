"""`clusters/search`: by metadata, by text, by vector, or by several of these at once."""

import math
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field, field_validator

from stage4.api.models.clusters import ClusterHit, OrderedBy, SearchResult
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import DEFAULT_ROWS, WORDS, Level, Limit, LoadParameters, Text
from stage4.api.pool import Reader, Row
from stage4.api.problems import ProblemError
from stage4.api.queries import clusters as stored
from stage4.api.queries.corrections import marked_clusters
from stage4.api.queries.runs import RunKey, dimension, find_run
from stage4.api.routes.clusters import Filters
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(prefix="/clusters", tags=["clusters"])

_LONGEST_VECTOR = 16_000  # pgvector's own limit
# A bound, so that no number becomes infinite on the way; vectors of this system have length 1.
# Strict: a list of texts, or of true and false, is no vector.
_Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False, strict=True)]


class Search(Filters, LoadParameters):
    """What is looked for; all that is given must hold."""

    model_config = ConfigDict(extra="forbid")

    level: Level
    text: Text | None = Field(
        None,
        description=f"{WORDS} Without a vector, the clusters that fit best come first.",
    )
    vector: list[_Number] | None = Field(
        None,
        min_length=1,
        max_length=_LONGEST_VECTOR,
        description="As long as the run's own vectors (768 by default), not zero; its length does "
        "not matter. The clusters whose centroids are nearest come first; with a text, only those "
        "that the text finds.",
    )
    limit: Limit = DEFAULT_ROWS

    @field_validator("limit", "min_size", "max_size", "load_id", "run", mode="before")
    @classmethod
    def _is_number(cls, value: Any) -> Any:
        """Take numbers of JSON alone; in an address all are text.

        Raises:
            ValueError: it is a text, or true or false.
        """
        if isinstance(value, str | bool):
            raise ValueError("it must be a number of JSON, not a text, true or false")  # noqa: TRY004
        return value


@router.post("/search", response_model=SearchResult, responses=OF_A_RUN)
async def search_clusters(asked: Search, access: AccessDep, services: ServicesDep) -> SearchResult:
    """Find the clusters that fit best.

    By vector, nearest first (an approximate index: one may be missed); else by text, best first;
    else the largest first. There are no further pages: `GET clusters` lists all that filters and
    text find.
    """
    # A read, and so without the guard against other sites' forms: it changes nothing, and no other
    # origin can see its answer.
    await access.check(asked.level)
    async with services.database.reader() as connection:
        run = await find_run(connection, asked.level, asked.load_id, asked.published_at)
        ordered_by, rows = await _search(connection, run, asked)
    found = [ClusterHit(**({"similarity": None, "rank": None} | row)) for row in rows]
    return SearchResult(level=run.level, load_id=run.load_id, ordered_by=ordered_by, clusters=found)


async def _search(connection: Reader, run: RunKey, asked: Search) -> tuple[OrderedBy, list[Row]]:
    wanted = asked.wanted(asked.text, await marked_clusters(connection, run.level))
    if asked.vector is not None:
        _check_vector(asked.vector, await dimension(connection, run))
        rows = await stored.search_by_vector(
            connection, run, wanted, asked.vector, limit=asked.limit
        )
        return "similarity", rows
    if asked.text is not None:
        return "rank", await stored.search_by_text(connection, run, wanted, asked.limit)
    rows = await stored.list_clusters(
        connection, run, wanted, order="size", after=None, limit=asked.limit
    )
    return "size", rows


def _check_vector(vector: list[float], expected: int) -> None:
    if len(vector) != expected:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"`vector` has {len(vector)} numbers, and the run's vectors have {expected}.",
        )
    if math.hypot(*vector) == 0:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "`vector` is zero, and nothing is similar to zero: send the vector of a text.",
        )
