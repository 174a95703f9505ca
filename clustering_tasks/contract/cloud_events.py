"""The events of jobs and clusters as CloudEvents 1.0: the models of their data, and their types.

Receivers of `STAGE4_EVENT_RECEIVERS` and of a run's `callback_url` get them; Stage 5's own
connection gets those of `clustering_tasks.contract.events`. docs/reference/asyncapi.json describes
them.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from clustering_tasks.contract.events import ChangedIds, CompletionEvent
from clustering_tasks.settings.levels import LEVELS

JOB_PREFIX = "clustering.job."
CLUSTERS_CHANGED = "clustering.clusters.changed"

_CLOSED = ConfigDict(extra="forbid")
_OPEN = ConfigDict(extra="allow")  # other extensions of CloudEvents may come
_Count = Annotated[int, Field(ge=1)]
_JobId = Annotated[
    str, Field(min_length=1, description="The run.", examples=["cluster_events.manual__2025-12-27"])
]
_Type = Annotated[
    str,
    Field(
        description="The level, in the singular.",
        json_schema_extra={"enum": [level.cluster_type for level in LEVELS.values()]},
    ),
]
_Time = Annotated[
    str,
    Field(
        description="ISO 8601 in UTC.",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$",
        json_schema_extra={"format": "date-time"},
        examples=["2025-12-27T10:30:00.123456Z"],
    ),
]
_MaybeTime = Annotated[
    str | None, Field(json_schema_extra={"format": "date-time"}, examples=["2025-12-27T10:30:00Z"])
]


@with_config(_CLOSED)
class JobEvent(TypedDict):
    """The state of a job has changed, or it has come further."""

    event_type: Annotated[
        Literal[
            "clustering.job.created",
            "clustering.job.started",
            "clustering.job.progress",
            "clustering.job.paused",
            "clustering.job.resumed",
            "clustering.job.completed",
            "clustering.job.failed",
            "clustering.job.canceled",
        ],
        Field(
            description="What happened; `completed` only of a run that published nothing: a later "
            "one was published before it, or only tasks behind `publish` ran again."
        ),
    ]
    job_id: _JobId
    embedding_type: _Type
    state: Annotated[
        Literal["queued", "running", "paused", "completed", "failed", "canceled"],
        Field(description="State of the job."),
    ]
    started_at: Annotated[_MaybeTime, Field(description="Last start; null: not started.")]
    percent: Annotated[
        float | None,
        Field(ge=0, le=100, description="Share of finished tasks; null: not known.", examples=[40]),
    ]
    expected_end: Annotated[
        _MaybeTime,
        Field(
            description="End of the run if it goes on as fast as up to now; null: no task has "
            "finished, or the job does not run."
        ),
    ]
    error: Annotated[
        str | None,
        Field(
            description="Task that failed and why; null: the job has not failed, or no task has."
        ),
    ]
    timestamp: _Time


@with_config(_CLOSED)
class ClustersChanged(TypedDict):
    """Readers of a level see other clusters."""

    event_type: Annotated[
        Literal["clustering.clusters.changed"], Field(description="What happened.")
    ]
    job_id: _JobId
    embedding_type: _Type
    act: Annotated[
        Literal["publish", "roll_back", "delete_document"],
        Field(description="Why: a run, an earlier run again, the same run without a document."),
    ]
    publication_id: Annotated[
        _Count, Field(description="Number of the publication, which grows.", examples=[23])
    ]
    load_id: Annotated[_Count, Field(description="Number of the load now.", examples=[17])]
    base_load_id: Annotated[
        _Count | None,
        Field(description="Number of the load before; null: there was none.", examples=[16]),
    ]
    ids: Annotated[
        ChangedIds | None,
        Field(description="How many cluster ids became what; null without a load before."),
    ]
    rows: Annotated[
        str | None,
        Field(
            description="Address of the rows, an id each, in the REST API; null without a load "
            "before.",
            examples=["https://airflow.example.org/stage4/api/v1/runs/events/changes?base=16"],
        ),
    ]
    timestamp: _Time


@with_config(_OPEN)
class CloudEvent(TypedDict):
    """The envelope of every event, in the JSON format of CloudEvents 1.0.2."""

    specversion: Annotated[Literal["1.0"], Field(description="Of CloudEvents.")]
    id: Annotated[
        str,
        Field(
            min_length=1,
            description="The same whenever the event is sent again: whoever has seen it drops it.",
            examples=["0d5f3c1e-6f0e-4a4e-9f3b-0f3f5d1f1a11"],
        ),
    ]
    source: Annotated[
        str,
        Field(
            min_length=1,
            description="The installation's REST API; without an address of Airflow "
            "`urn:stage4:clustering`.",
            examples=["https://airflow.example.org/stage4/api/v1"],
        ),
    ]
    type: Annotated[str, Field(min_length=1, description="What happened; as `data.event_type`.")]
    subject: _JobId
    time: Annotated[_Time, Field(description="When it happened.")]
    datacontenttype: Annotated[Literal["application/json"], Field(description="Of `data`.")]
    sequence: Annotated[
        str,
        Field(
            pattern=r"^\d{10}$",
            description="Place among the events of the job (`subject`), from `0000000001`, without "
            "a gap.",
            examples=["0000000007"],
        ),
    ]
    traceparent: Annotated[
        str,
        Field(
            pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            description="W3C trace context: all events of a job are of one trace.",
        ),
    ]
    data: Annotated[dict[str, Any], Field(description="By the type.")]


DATA: dict[str, tuple[Any, ...]] = {
    **{
        f"{JOB_PREFIX}{what}": (JobEvent,)
        for what in ("created", "started", "progress", "paused", "resumed")
    },
    f"{JOB_PREFIX}completed": (CompletionEvent, JobEvent),
    f"{JOB_PREFIX}failed": (JobEvent,),
    f"{JOB_PREFIX}canceled": (JobEvent,),
    CLUSTERS_CHANGED: (ClustersChanged,),
}
"""The models that `data` of each type may follow."""
