"""`clusters`: lists of clusters, one of them, its members, those like it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from stage4.api import cursors
from stage4.api.models.clusters import (
    Cluster,
    ClusterPage,
    ClusterSummary,
    Similar,
    SimilarClusters,
    Trend,
)
from stage4.api.models.items import Member, MemberPage
from stage4.api.openapi import OF_A_CLUSTER, OF_A_RUN
from stage4.api.parameters import (
    DEFAULT_ROWS,
    WORDS,
    ClusterIdPath,
    CursorText,
    Domain,
    Id,
    Level,
    Limit,
    LoadParameters,
    Size,
    Text,
    level_of,
)
from stage4.api.queries import clusters as stored
from stage4.api.queries import members
from stage4.api.queries.corrections import Marked, marked_clusters, marks_of
from stage4.api.queries.runs import RunKey, find_run, run_of_list
from stage4.api.routes.identities import absent
from stage4.api.security import AccessDep
from stage4.api.services import Services, ServicesDep

router = APIRouter(prefix="/clusters", tags=["clusters"])


class Filters(BaseModel):
    """Which clusters."""

    domain: Domain | None = Field(None, description="Stage 2's domain, long or short.")
    event_type: Text | None = Field(None, description="The members' dominant one.")
    entity_type: Text | None = Field(None, description="Of clusters of entities.")
    start: AwareDatetime | None = Field(
        None, description="Only clusters whose time span ends at this moment or later."
    )
    end: AwareDatetime | None = Field(
        None, description="Only clusters whose time span begins at this moment or earlier."
    )
    min_size: Size | None = Field(None, description="Members at least.")
    max_size: Size | None = Field(None, description="Members at most.")
    document_id: Id | None = Field(None, description="Only clusters with items of it.")
    tag: Text | None = Field(None, description="Only clusters with this tag, of any category.")
    trend: Trend | None = Field(None, description="Only clusters with this trend.")
    pinned: bool = Field(False, description="Only clusters that a person pinned.")
    hidden: bool = Field(False, description="Clusters that a person hid, too.")

    def wanted(self, text: str | None, marked: Marked) -> stored.ClusterFilter:
        """Translate to the query.

        Args:
            text: words to search for.
            marked: clusters that people pinned or hid.
        """
        own = {*Filters.model_fields} - {"pinned", "hidden"}
        return stored.ClusterFilter(
            **{name: getattr(self, name) for name in own},
            text=text,
            only=marked.pinned if self.pinned else None,
            hidden=marked.hidden if marked.hidden and not self.hidden else None,
        )


class ListParameters(Filters, LoadParameters):
    """Which clusters of which run, in which order, and which page of them."""

    level: Level
    q: Text | None = Field(None, description=WORDS)
    order: stored.Order = Field(
        "size", description="Largest first, latest first, by label's alphabet, or growing first."
    )
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None

    def question(self) -> dict[str, Any]:
        """Name everything that chooses and orders the rows."""
        return self.model_dump(mode="json", exclude={"limit", "cursor"})


class ClusterQuery(LoadParameters):
    """Of which run, and how much of it."""

    centroid: bool = Field(False, description="Add the centroid's numbers.")


class MemberParameters(LoadParameters):
    """Which page of the members, and their order."""

    order: members.Order = Field("probability", description="Highest first.")
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


class SimilarParameters(LoadParameters):
    """How many, and of which run."""

    limit: Limit = 10


@router.get("", response_model=ClusterPage, responses=OF_A_RUN)
async def list_clusters(
    asked: Annotated[ListParameters, Query()], access: AccessDep, services: ServicesDep
) -> Response:
    """List a level's clusters, in pages."""
    await access.check(asked.level)
    page = cursors.page(asked.question(), asked.limit, asked.cursor)
    async with services.database.reader() as connection:
        run = await run_of_list(
            connection, asked.level, asked.load_id, page.load_id, asked.published_at
        )
        wanted = asked.wanted(asked.q, await marked_clusters(connection, asked.level))

        async def make() -> ClusterPage:
            rows = await stored.list_clusters(
                connection,
                run,
                wanted,
                order=asked.order,
                after=page.after,
                limit=page.rows,
            )
            shown, following = page.cut(
                rows, lambda row: stored.sort_key(row, asked.order), run.load_id
            )
            return ClusterPage(
                level=run.level,
                load_id=run.load_id,
                clusters=[ClusterSummary(**row) for row in shown],
                next_cursor=following,
            )

        marks = {"only": wanted.only, "hidden": wanted.hidden}
        return await _answer("clusters", services, run, page, make, marks)


@router.get("/{cluster_id}", response_model=Cluster, responses=OF_A_CLUSTER)
async def read_cluster(
    request: Request,
    cluster_id: ClusterIdPath,
    asked: Annotated[ClusterQuery, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """Read a cluster, or learn where its members are by now."""
    level = level_of(cluster_id)
    await access.check(level)
    async with services.database.reader() as connection:
        run = await find_run(connection, level, asked.load_id, asked.published_at)
        marks = await marks_of(connection, cluster_id)

        async def make() -> Cluster:
            row = await stored.read_cluster(connection, run, cluster_id)
            if row is None:
                raise await absent(connection, request, run, cluster_id, asked)
            centroid = None
            if asked.centroid:
                centroid = await stored.read_centroid(connection, run, cluster_id)
            return Cluster(
                **row, level=run.level, load_id=run.load_id, centroid=centroid, marks=marks
            )

        question = {
            "of": "cluster",
            "id": cluster_id,
            "centroid": asked.centroid,
            "marks": [mark["correction_id"] for mark in marks],
        }
        return await services.cache.answer(run, question, make)


@router.get("/{cluster_id}/members", response_model=MemberPage, responses=OF_A_CLUSTER)
async def list_members(
    request: Request,
    cluster_id: ClusterIdPath,
    asked: Annotated[MemberParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """List a cluster's members, in pages."""
    level = level_of(cluster_id)
    await access.check(level)
    question = {"id": cluster_id} | asked.model_dump(exclude={"limit", "cursor"})
    page = cursors.page(question, asked.limit, asked.cursor)
    async with services.database.reader() as connection:
        run = await run_of_list(connection, level, asked.load_id, page.load_id, asked.published_at)

        async def make() -> MemberPage:
            rows = await members.list_members(
                connection,
                run,
                cluster_id,
                order=asked.order,
                after=page.after,
                limit=page.rows,
            )
            if not rows and page.cursor is None:  # there is no cluster without members
                raise await absent(connection, request, run, cluster_id, asked)
            shown, following = page.cut(
                rows, lambda row: members.sort_key(row, asked.order), run.load_id
            )
            return MemberPage(
                level=run.level,
                load_id=run.load_id,
                cluster_id=cluster_id,
                members=[Member(**row) for row in shown],
                next_cursor=following,
            )

        return await _answer("members", services, run, page, make)


@router.get("/{cluster_id}/similar", response_model=SimilarClusters, responses=OF_A_CLUSTER)
async def list_similar(
    request: Request,
    cluster_id: ClusterIdPath,
    asked: Annotated[SimilarParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """List the clusters of the same run that are nearest to a cluster."""
    level = level_of(cluster_id)
    await access.check(level)
    async with services.database.reader() as connection:
        run = await find_run(connection, level, asked.load_id, asked.published_at)
        hidden = (await marked_clusters(connection, level)).hidden

        async def make() -> SimilarClusters:
            centroid = await stored.read_centroid(connection, run, cluster_id)
            if centroid is None:
                raise await absent(connection, request, run, cluster_id, asked)
            rows = await stored.search_by_vector(
                connection,
                run,
                stored.ClusterFilter(hidden=hidden or None),
                centroid,
                limit=asked.limit,
                without=cluster_id,
            )
            found = [Similar(**row) for row in rows]
            return SimilarClusters(level=run.level, load_id=run.load_id, clusters=found)

        question = {"of": "similar", "id": cluster_id, "limit": asked.limit, "hidden": hidden}
        return await services.cache.answer(run, question, make)


async def _answer(
    name: str,
    services: Services,
    run: RunKey,
    page: cursors.Page,
    make: Callable[[], Awaitable[BaseModel]],
    also: Mapping[str, Any] | None = None,
) -> Response:
    """Give a list's first page from the cache; the others, which few ask for, are always made."""
    if page.cursor is not None:
        return Response((await make()).model_dump_json(), media_type="application/json")
    question = {"of": name, "limit": page.limit, **page.question, **(also or {})}
    return await services.cache.answer(run, question, make)
