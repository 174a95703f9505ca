"""What answers about several things have in common."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, computed_field

from clustering_tasks.stage3.long_values import cut_fields, cut_text, cut_texts

Json = dict[str, Any]
# Metadata may be of any length, and an answer has up to 200 items.
Line = Annotated[str, AfterValidator(cut_text)]
Record = Annotated[Json, AfterValidator(cut_texts)]
Fields = Annotated[Json, AfterValidator(cut_fields)]
CUT = "A longer text ends with a mark: `… [cut: 5,000 characters]`."


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
