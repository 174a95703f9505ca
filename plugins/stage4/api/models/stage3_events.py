"""The answer to an event of Stage 3."""

from pydantic import BaseModel, Field

from stage4.api.parameters import LevelName


class Received(BaseModel):
    """What becomes of an event; the same whenever it comes again."""

    level: LevelName
    is_new: bool = Field(description="False: it came before, this way or by the stream.")
    job_id: str | None = Field(
        description="The run that is for it. Null: it waits for more (`STAGE4_MIN_EMBEDDINGS`)."
    )
