"""Events of Stage 3: the answer to one, and what came of them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from stage4.api.models.shared import Line, Page
from stage4.api.parameters import LevelName


class Received(BaseModel):
    """What becomes of an event; the same whenever it comes again."""

    level: LevelName
    is_new: bool = Field(description="False: it came before, this way or by the stream.")
    job_id: str | None = Field(
        description="The run that is for it. Null: it waits for more (`STAGE4_MIN_EMBEDDINGS`)."
    )


class IncomingEvent(BaseModel):
    """An event of Stage 3 that is stored."""

    level: LevelName
    type: Line = Field(description="`event_type`; `asset`: an event of the asset in Airflow.")
    stage3_job: Line = Field(
        description="`job_id` of Stage 3; of an asset, number and time in Airflow."
    )
    total_embeddings: int | None = Field(description="That it announces; null: it does not say.")
    received_by: Literal["stream", "webhook", "asset"] = Field(description="The way it came first.")
    received_at: datetime
    job_id: str | None = Field(
        description="The run that is for it. Null: it waits for more (`STAGE4_MIN_EMBEDDINGS`)."
    )


class Waiting(BaseModel):
    """The events of a level that no run is for yet."""

    level: LevelName
    events: int
    embeddings: int = Field(description="That they announce.")
    min_embeddings: int = Field(description="From so many on a run starts.")


class IncomingEventPage(Page):
    """A page of Stage 3's events, newest first."""

    events: list[IncomingEvent]
    waiting: list[Waiting] = Field(
        description="By level, whatever the page shows; empty: every event has its run."
    )
