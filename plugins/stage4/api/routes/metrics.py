"""`metrics`: of the current run, and how they went; `alerts`: what a person should look at."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from stage4.api import cursors
from stage4.api.cache import METRICS_SECONDS
from stage4.api.models.metrics import Alert, AlertPage, Metrics, RunMetrics
from stage4.api.openapi import OF_A_RUN
from stage4.api.parameters import DEFAULT_ROWS, CursorText, Level, LevelPath, Limit
from stage4.api.queries import metrics as stored
from stage4.api.queries.runs import find_run, just_removed
from stage4.api.security import AccessDep
from stage4.api.services import ServicesDep

router = APIRouter(tags=["metrics"])

_NAMES = r"^[a-z0-9_.]+(,[a-z0-9_.]+)*$"


class MetricsParameters(BaseModel):
    """Which metrics, of how many runs."""

    names: str | None = Field(
        None,
        max_length=2000,
        pattern=_NAMES,
        description="Comma-separated, for example `coverage,quality.silhouette`; default: all.",
    )
    limit: Limit = 30


class AlertParameters(BaseModel):
    """Which alerts, and which page of them."""

    level: Level | None = Field(None, description="Default: all that the user may read.")
    severity: Literal["info", "warning", "critical"] | None = None
    current: bool | None = Field(
        None, description="Only those about the runs that readers see, or only those about others."
    )
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("/metrics/{level}", response_model=Metrics, responses=OF_A_RUN)
async def read_metrics(
    level: LevelPath,
    asked: Annotated[MetricsParameters, Query()],
    access: AccessDep,
    services: ServicesDep,
) -> Response:
    """Read a level's metrics: the current run's, and those of the runs published before."""
    await access.check(level)
    names = sorted(set(asked.names.split(","))) if asked.names else None
    async with services.database.reader() as connection:
        run = await find_run(connection, level)

        async def make() -> Metrics:
            latest = await stored.metrics_of_run(connection, run, names)
            if latest is None:
                raise just_removed(run)
            rows = await stored.trend(connection, level, names, asked.limit)
            return Metrics(
                level=level,
                latest=RunMetrics(**latest),
                trend=[RunMetrics(**row) for row in rows],
            )

        # After a roll-back the current run is an old one, and the trend is not its own alone.
        past = await stored.history(connection, level)
        question = {"of": "metrics", "names": names, "limit": asked.limit, "past": past}
        return await services.cache.answer(run, question, make, seconds=METRICS_SECONDS)


@router.get("/alerts", response_model=AlertPage)
async def list_alerts(
    asked: Annotated[AlertParameters, Query()], access: AccessDep, services: ServicesDep
) -> AlertPage:
    """List alerts, newest first, in pages."""
    levels = await access.levels(asked.level)
    question = {"of": "alerts"} | asked.model_dump(exclude={"limit", "cursor"})
    page = cursors.page(question, asked.limit, asked.cursor)
    async with services.database.reader() as connection:
        rows = await stored.list_alerts(
            connection,
            levels,
            severity=asked.severity,
            current=asked.current,
            before=page.before,
            limit=page.rows,
        )
    shown, following = page.cut(rows, lambda row: (row["alert_id"],))
    return AlertPage(alerts=[Alert(**row) for row in shown], next_cursor=following)
