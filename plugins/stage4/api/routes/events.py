"""`events`: what receivers outside get and whether they have taken it; what came from Stage 3."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from clustering_tasks.settings.deployment import deployment
from stage4.api import cursors
from stage4.api.models.events import (
    JobId,
    OutgoingEvent,
    OutgoingEventPage,
    ReceiverQueue,
    ReceiverQueues,
    Resend,
    Resent,
    State,
)
from stage4.api.models.stage3_events import IncomingEvent, IncomingEventPage, Waiting
from stage4.api.parameters import DEFAULT_ROWS, CursorText, Level, Limit, Text
from stage4.api.pool import Row, connected
from stage4.api.queries import events as stored
from stage4.api.queries import stage3_events
from stage4.api.security import AccessDep, own_page
from stage4.api.services import ServicesDep
from stage4.database import deliveries
from stage4.job_ids import dag_of, job_id

router = APIRouter(prefix="/events", tags=["events"])


class ListParameters(BaseModel):
    """Which events, and which page of them."""

    level: Level | None = Field(None, description="Default: all that the user may read.")
    job_id: JobId | None = Field(None, description="Default: all.")
    state: State | None = Field(
        None, description="Only events with a delivery in it. Default: all."
    )
    receiver: Text | None = Field(
        None, description="Only events that it gets: an Airflow connection, or `callback`."
    )
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("", response_model=OutgoingEventPage)
async def list_events(
    asked: Annotated[ListParameters, Query()], access: AccessDep, services: ServicesDep
) -> OutgoingEventPage:
    """List events with their deliveries, newest first, in pages."""
    levels = await access.levels(asked.level)
    question = {"of": "events"} | asked.model_dump(exclude={"limit", "cursor"})
    page = cursors.page(question, asked.limit, asked.cursor)
    wanted = stored.Wanted(levels, asked.job_id, asked.state, asked.receiver)
    async with services.database.reader() as connection:
        rows = await stored.list_events(connection, wanted, before=page.before, limit=page.rows)
    shown, following = page.cut(rows, lambda row: (row["number"],))
    return OutgoingEventPage(events=[OutgoingEvent(**row) for row in shown], next_cursor=following)


@router.get("/receivers", response_model=ReceiverQueues)
async def list_receivers(access: AccessDep, services: ServicesDep) -> ReceiverQueues:
    """Count what each receiver has not taken; one that has taken all is not listed."""
    await access.readable()
    async with services.database.reader() as connection:
        rows = await stored.read_queues(connection)
    where = deployment()
    return ReceiverQueues(
        receivers=[ReceiverQueue(**row) for row in rows],
        configured=[*where.event_receivers, *([deliveries.CALLBACK] if where.callbacks else [])],
    )


class IncomingParameters(BaseModel):
    """Which events of Stage 3, and which page of them."""

    level: Level | None = Field(None, description="Default: all that the user may read.")
    waits: bool | None = Field(
        None, description="Only events that no run is for yet, or only others. Default: all."
    )
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("/stage3", response_model=IncomingEventPage)
async def list_events_of_stage3(
    asked: Annotated[IncomingParameters, Query()], access: AccessDep, services: ServicesDep
) -> IncomingEventPage:
    """List the events that came from Stage 3 with the runs that are for them, newest first."""
    levels = await access.levels(asked.level)
    question = {"of": "stage3 events"} | asked.model_dump(exclude={"limit", "cursor"})
    page = cursors.page(question, asked.limit, asked.cursor)
    async with services.database.reader() as connection:
        rows = await stage3_events.list_events(
            connection, levels, waits=asked.waits, before=page.before, limit=page.rows
        )
        sums = await stage3_events.read_waiting(connection, levels)
    shown, following = page.cut(rows, lambda row: (row["number"],))
    fewest = deployment().min_embeddings
    return IncomingEventPage(
        events=[_incoming(row) for row in shown],
        waiting=[Waiting(**row, min_embeddings=fewest) for row in sums],
        next_cursor=following,
    )


def _incoming(row: Row) -> IncomingEvent:
    run_id = row["run_id"]
    job = None if run_id is None else job_id(dag_of(row["level"]), run_id)
    return IncomingEvent(**row, job_id=job)


@router.post("/resend", response_model=Resent, dependencies=[Depends(own_page)])
async def resend(asked: Resend, access: AccessDep) -> Resent:
    """Send events again that were given up, with the same ids; the next run of the DAG sends them.

    Needs the right to start runs of each level that is meant.
    """
    levels = await access.levels(asked.level)
    for level in levels:
        await access.check_write(level)
    return Resent(deliveries=await run_in_threadpool(_resend, asked, levels))


def _resend(asked: Resend, levels: list[str]) -> int:
    return connected(
        lambda connection: deliveries.resend(
            connection,
            levels=levels,
            receiver=asked.receiver,
            job_id=asked.job_id,
            event_id=asked.event_id,
        )
    )
