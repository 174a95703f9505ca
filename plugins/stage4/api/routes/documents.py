"""`documents`: what became of a document's items, at every level."""

from collections import Counter
from http import HTTPStatus

from fastapi import APIRouter

from stage4.api.models import ClusterOfDocument, DocumentClusters, DocumentLevel
from stage4.api.parameters import MOST_ROWS, ItemPath
from stage4.api.pool import Reader
from stage4.api.problems import ProblemError
from stage4.api.queries.clusters import named_clusters
from stage4.api.queries.members import count_of_document
from stage4.api.queries.runs import RunKey, current_runs
from stage4.api.routes.clusters import GONE
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(prefix="/documents", tags=["items"])


@router.get("/{document_id:path}/clusters", response_model=DocumentClusters, responses=GONE)
async def clusters_of_document(
    document_id: ItemPath, access: AccessDep, services: ServicesDep
) -> DocumentClusters:
    """List the clusters of all levels that hold items of a document."""
    levels = await access.readable()
    async with services.database.reader() as connection:
        found = [
            each
            for run in await current_runs(connection, levels)
            if (each := await _at_level(connection, run, document_id)) is not None
        ]
    if not found:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "No published run has an item of this document, at any level that you may read.",
        )
    return DocumentClusters(document_id=document_id, levels=found)


async def _at_level(connection: Reader, run: RunKey, document_id: str) -> DocumentLevel | None:
    counts = await count_of_document(connection, run, document_id)
    if not counts:
        return None
    statuses = Counter[str]()
    for count in counts:
        statuses[count["status"]] += count["items"]
    items = {count["cluster_id"]: count["items"] for count in counts if count["cluster_id"]}
    shown = list(items)[:MOST_ROWS]
    rows = {row["cluster_id"]: row for row in await named_clusters(connection, run, shown)}
    return DocumentLevel(
        level=run.level,
        run_id=run.run_id,
        items=statuses.total(),
        statuses=dict(statuses),
        clusters_total=len(items),
        clusters=[ClusterOfDocument(**rows[name], items=items[name]) for name in shown],
    )
