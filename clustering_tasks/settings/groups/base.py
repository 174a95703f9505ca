"""What all groups of a run's settings have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

# Beyond, neither JSON of other languages nor Airflow's messages to a task can hold an integer.
LARGEST = 2**63 - 1


class Group(BaseModel):
    """Settings that belong together: frozen, no unknown names, finite, integers of 64 bits."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="after")
    @classmethod
    def _within_64_bits(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"an integer of 64 bits is at most {LARGEST}")
        return value
