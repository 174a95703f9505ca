"""`documents`: what became of a document's items, at every level; and their deletion."""

from collections import Counter
from dataclasses import asdict
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.levels import LEVELS
from stage4.api.airflow_jobs import start_deletion
from stage4.api.models.items import ClusterOfDocument, Deletion, DocumentClusters, DocumentLevel
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import MOST_ROWS, ItemPath
from stage4.api.pool import Reader, connected
from stage4.api.problems import ProblemError
from stage4.api.queries.clusters import named_clusters
from stage4.api.queries.members import count_of_document
from stage4.api.queries.runs import RunKey, current_runs
from stage4.api.security import AccessDep, own_page
from stage4.api.services import ServicesDep
from stage4.deletions import requests

log = structlog.get_logger()
router = APIRouter(prefix="/documents", tags=["items"])


@router.get("/{document_id:path}/clusters", response_model=DocumentClusters, responses=OF_A_RUN)
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


@router.delete(
    "/{document_id:path}",
    response_model=Deletion,
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(own_page)],
)
async def delete_document(document_id: ItemPath, access: AccessDep) -> Deletion:
    """Delete a document and all that derives from it; from now on nobody sees it.

    A document of which nothing is known is deleted, too (`known` is false): Stage 3 may deliver it
    yet, and then it is left out. Asking again changes nothing.
    """
    for level in LEVELS:
        await access.check_write(level)
    asked = await run_in_threadpool(_hide, document_id, access.user.get_name())
    if asked.state == "requested":
        await run_in_threadpool(start_deletion, asked.deletion_id)
    return Deletion(**asdict(asked))


def _hide(document_id: str, user: str) -> requests.Request:
    try:
        return connected(lambda connection: requests.request(connection, document_id, user))
    except SettingsError as error:
        log.error("a deletion was refused", why=str(error))  # noqa: TRY400 - it is no defect
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None


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
        load_id=run.load_id,
        items=statuses.total(),
        statuses=dict(statuses),
        clusters_total=len(items),
        clusters=[ClusterOfDocument(**rows[name], items=items[name]) for name in shown],
    )
