"""Events to receivers outside, and how far their deliveries are."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stage4.api.models.shared import Line, Page
from stage4.api.parameters import Level, LevelName, Text

State = Literal["pending", "delivered", "given_up"]
JobId = Annotated[Text, Field(description="For example `cluster_events.manual__1`.")]
EventId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="`id` of a CloudEvent."
    ),
]


class Delivery(BaseModel):
    """What one receiver gets of an event."""

    receiver: Line = Field(description="Airflow connection, or `callback`: the run's own.")
    state: State = Field(description="`given_up` stays so until it is sent again.")
    attempts: int
    last_error: Line | None = Field(description="Of the last attempt; null: it did not fail.")
    next_attempt_at: datetime | None = Field(description="Not before; null: not pending.")
    delivered_at: datetime | None


class OutgoingEvent(BaseModel):
    """An event of the outbox."""

    event_id: str
    job_id: str
    level: LevelName
    sequence: int = Field(description="Among the events of the job, from 1.")
    type: str
    created_at: datetime
    data: dict[str, Any] = Field(description="docs/reference/asyncapi.json describes it.")
    deliveries: list[Delivery] = Field(description="By receiver; empty: nobody gets it.")


class OutgoingEventPage(Page):
    """A page of events, newest first."""

    events: list[OutgoingEvent]


class ReceiverQueue(BaseModel):
    """What a receiver has not taken."""

    receiver: Line = Field(description="Airflow connection, or `callback`: the runs' own.")
    pending: int
    given_up: int
    oldest_pending_at: datetime | None
    failures: int = Field(description="Attempts in a row that it has not answered.")
    retry_at: datetime | None = Field(description="No event is sent before; null: it answers.")
    last_error: Line | None = Field(
        description="Why it is left alone, else of the newest event that it has not taken."
    )


class ReceiverQueues(BaseModel):
    """Every receiver that has not taken all of its events."""

    receivers: list[ReceiverQueue]
    configured: list[str] = Field(
        description="All receivers of the installation: those of STAGE4_EVENT_RECEIVERS, and "
        "`callback` where runs may name their own."
    )


class Resend(BaseModel):
    """Which of the events that were given up are sent again."""

    model_config = ConfigDict(extra="forbid")

    level: Level | None = Field(None, description="Default: all; of each the user starts runs.")
    receiver: Text | None = Field(None, description="Default: all.")
    job_id: JobId | None = Field(None, description="Default: all.")
    event_id: EventId | None = Field(None, description="Default: all.")


class Resent(BaseModel):
    """What is sent again."""

    deliveries: int = Field(description="An event that two receivers get again counts twice.")
