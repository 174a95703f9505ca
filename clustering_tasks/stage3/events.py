"""What Stage 3 announces: an entry of its stream, or the body of its webhook."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.stage3.ids import ID_PATTERN, LONGEST_ID

_PLURALS = {level.cluster_type: level.name for level in LEVELS.values()}
_LARGEST = 2**63 - 1  # of a column


class Stage3EventError(ValueError):
    """Not an event of Stage 3; the message names the fields that are wrong, not their values."""


def _plural(level: object) -> object:
    return _PLURALS.get(level, level) if isinstance(level, str) else level


class Stage3Event(BaseModel):
    """Stage 3 has embeddings that were not there before. Fields beside these are not read.

    Two with the same four fields are the same event, whichever way they come: a job tells of its
    batches by numbers that grow.
    """

    model_config = ConfigDict(frozen=True)

    event_type: Literal["embedding.job.completed", "embedding.batch.completed"]
    job_id: str = Field(
        min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN, description="Stage 3's job."
    )
    embedding_type: Annotated[
        Literal["documents", "events", "entities", "storylines"], BeforeValidator(_plural)
    ] = Field(description="The level, singular or plural.")
    total_embeddings: int | None = Field(
        None, ge=0, le=_LARGEST, description="How many there are of this job; null: not told."
    )


def stage3_event(fields: Mapping[bytes, bytes]) -> Stage3Event:
    """Read an entry of the stream.

    Raises:
        Stage3EventError: it is none.
    """
    try:
        texts = {name.decode(): value.decode() for name, value in fields.items()}
    except UnicodeDecodeError:
        raise Stage3EventError("not UTF-8") from None
    try:
        return Stage3Event.model_validate(texts)
    except ValidationError as error:
        raise Stage3EventError("; ".join(f"{at}: {text}" for at, text in wrong(error))) from None


def wrong(error: ValidationError) -> list[tuple[str, str]]:
    """Name what is wrong: field and reason, never the value."""
    found: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    return [(".".join(map(str, each["loc"])), each["msg"]) for each in found]
