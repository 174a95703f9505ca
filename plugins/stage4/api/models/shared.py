"""What answers about several things have in common."""

from typing import Any

from pydantic import BaseModel, Field

Json = dict[str, Any]


class Page(BaseModel):
    """What every page of a list has."""

    next_cursor: str | None = Field(description="For the next page; null on the last one.")
