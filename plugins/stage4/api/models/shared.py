"""What answers about several things have in common."""

from typing import Any

from pydantic import BaseModel, Field, computed_field

Json = dict[str, Any]


class Page(BaseModel):
    """What every page of a list has."""

    next_cursor: str | None = Field(description="For the next page; null on the last one.")


class OfLoad(BaseModel):
    """What every answer about a load has."""

    load_id: int = Field(description="Number of the load.")

    # Not `deprecated=True`: with that pydantic warns whenever an answer is written.
    @computed_field(  # type: ignore[prop-decorator]
        description="Deprecated alias of `load_id`.", json_schema_extra={"deprecated": True}
    )
    @property
    def run_id(self) -> int:
        """The former name of `load_id`."""
        return self.load_id
