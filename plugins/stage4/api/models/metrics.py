"""Answers about what the runs have left besides clusters: metrics and alerts."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from stage4.api.models.shared import OfLoad, Page
from stage4.api.parameters import LevelName


class RunMetrics(OfLoad):
    """The metrics of one run."""

    job_id: str
    as_of: datetime
    published_at: datetime | None
    values: dict[str, float | None] = Field(
        description="By name; null: not measured. The names: docs/METRICS.md."
    )


class Metrics(BaseModel):
    """Metrics of a level: of the current run, and of the runs published before."""

    level: LevelName
    latest: RunMetrics
    trend: list[RunMetrics] = Field(description="Oldest first, the current run's among them.")


class Alert(OfLoad):
    """Something about a run that a person should look at."""

    alert_id: int
    level: LevelName
    current: bool = Field(description="Whether it is about the run that readers see.")
    name: str
    severity: Literal["info", "warning", "critical"]
    message: str
    action: str
    value: float | None
    limit_value: float | None
    raised_at: datetime


class AlertPage(Page):
    """A page of alerts, newest first."""

    alerts: list[Alert]
