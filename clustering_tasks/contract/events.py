"""The events that Stage 5 gets: the models that they are written by, and the contract's source.

docs/reference/contract/ holds their JSON Schemas. A change of a field is a new `VERSION`.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

from clustering_tasks.settings.levels import LEVELS

VERSION = 2

_CLOSED = ConfigDict(extra="forbid")

_Count = Annotated[int, Field(ge=0)]
_Files = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(
        description="URIs of the published JSONL: the run's own, then that of its day.",
        examples=[["file:///data/output/clustered_events_2025-12-27.jsonl"]],
    ),
]
_JobId = Annotated[
    str,
    Field(
        min_length=1,
        description="The published run; `metadata.run_id` in its records.",
        examples=["cluster_events.manual__2025-12-27"],
    ),
]
_Type = Annotated[
    str,
    Field(
        description="The level, in the singular, as `cluster_type` in its records.",
        json_schema_extra={"enum": [level.cluster_type for level in LEVELS.values()]},
    ),
]
_Time = Annotated[
    str,
    Field(
        description="When the event was written: ISO 8601 in UTC.",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$",
        json_schema_extra={"format": "date-time"},
        examples=["2025-12-27T10:30:00.123456Z"],
    ),
]
_ClusterId = Annotated[
    str,
    Field(
        pattern=r"^(document|event|entity|storyline)_[0-9a-f]{12}$", examples=["event_7f3a9c2e41b0"]
    ),
]


@with_config(_CLOSED)
class QualityMetrics(TypedDict):
    """How well the clusters are separated; null where that cannot be measured."""

    silhouette_score: Annotated[
        float | None,
        Field(
            description="Mean silhouette by cosine distance, -1 to 1, higher is better; null with "
            "fewer than two clusters.",
            examples=[0.73],
        ),
    ]
    davies_bouldin_score: Annotated[
        float | None,
        Field(
            description="Davies-Bouldin index, from 0, lower is better; null with fewer than two "
            "clusters.",
            examples=[0.45],
        ),
    ]


@with_config(_CLOSED)
class Statistics(TypedDict):
    """Sizes and computing time of the run."""

    processing_time_ms: Annotated[
        _Count, Field(description="Computing time of all steps, in ms.", examples=[512000])
    ]
    total_items: Annotated[
        _Count, Field(description="Items read, whether clustered or not.", examples=[5000])
    ]
    avg_cluster_size: Annotated[
        float | None,
        Field(description="Mean members of a cluster; null without clusters.", examples=[39.6]),
    ]


@with_config(_CLOSED)
class ChangedIds(TypedDict):
    """How many cluster ids became what between two loads."""

    born: Annotated[_Count, Field(description="New ids.", examples=[3])]
    returned: Annotated[_Count, Field(description="Older ids that are clusters again.")]
    changed: Annotated[
        _Count, Field(description="Ids of both loads whose members differ.", examples=[12])
    ]
    relabelled: Annotated[
        _Count, Field(description="Ids of both loads with the same members and another label.")
    ]
    unchanged: Annotated[_Count, Field(description="Ids of both loads as they were.")]
    merged: Annotated[_Count, Field(description="Ids whose cluster went into another one.")]
    split: Annotated[
        _Count,
        Field(description="Ids whose members went into several clusters, none of which keeps it."),
    ]
    dormant: Annotated[
        _Count, Field(description="Ids that no cluster has by now; a later one may.")
    ]
    ended: Annotated[_Count, Field(description="Ids that no cluster has any more.")]
    deleted: Annotated[
        _Count, Field(description="Ids whose members were deleted, but for one at most.")
    ]


@with_config(_CLOSED)
class Changes(TypedDict):
    """From the load that readers saw before to the one that they see now."""

    base_load_id: Annotated[
        int, Field(ge=1, description="Number of the load before.", examples=[16])
    ]
    load_id: Annotated[int, Field(ge=1, description="Number of the load now.", examples=[17])]
    ids: Annotated[
        ChangedIds,
        Field(
            description="A copy of the former clusters is brought up to date by adding `born` and "
            "`returned`, replacing `changed` and `relabelled`, and removing the last five."
        ),
    ]
    rows: Annotated[
        str,
        Field(
            min_length=1,
            description="Address of the rows, an id each, in the REST API; with `change=` of one "
            "kind.",
            examples=[
                "https://airflow.example.org/stage4/api/v1/runs/events/changes?base=16&other=17"
            ],
        ),
    ]


@with_config(_CLOSED)
class CompletionEvent(TypedDict):
    """A run of a level is published."""

    event_type: Annotated[Literal["clustering.job.completed"], Field(description="What happened.")]
    job_id: _JobId
    embedding_type: _Type
    algorithm: Annotated[
        str,
        Field(min_length=1, description="Algorithm that found the clusters.", examples=["hdbscan"]),
    ]
    clusters_created: Annotated[
        _Count, Field(description="Clusters of the run: lines of its JSONL.", examples=[125])
    ]
    outliers: Annotated[_Count, Field(description="Items that are noise.", examples=[45])]
    output_files: _Files
    quality_metrics: Annotated[
        QualityMetrics, Field(description="How well the clusters are separated.")
    ]
    statistics: Annotated[Statistics, Field(description="Sizes and computing time of the run.")]
    changes: Annotated[
        Changes | None,
        Field(description="What has changed for readers; null at a level's first publication."),
    ]
    timestamp: _Time


@with_config(_CLOSED)
class RolledBackEvent(CompletionEvent):
    """A run that was published before is published again."""

    act: Annotated[
        Literal["roll_back"],
        Field(description="Marks a roll-back: a first publication has no such field."),
    ]
    publication_id: Annotated[
        int,
        Field(ge=1, description="The publication's number, which grows with each.", examples=[23]),
    ]


@with_config(_CLOSED)
class ChangedCluster(TypedDict):
    """A cluster that has lost members."""

    cluster_id: Annotated[_ClusterId, Field(description="The cluster before the deletion.")]
    new_cluster_id: Annotated[
        _ClusterId,
        Field(
            description="The cluster of the members that are left: the same id, but for a run by a "
            "version without lasting ids."
        ),
    ]


@with_config(_CLOSED)
class DeletionEvent(TypedDict):
    """A document was deleted, and the published run of a level is without its items."""

    event_type: Annotated[
        Literal["clustering.document.deleted"], Field(description="What happened.")
    ]
    job_id: _JobId
    embedding_type: _Type
    changed_clusters: Annotated[
        list[ChangedCluster],
        Field(description="Clusters that lost members and have at least two left."),
    ]
    removed_clusters: Annotated[
        list[_ClusterId], Field(description="Clusters that no longer exist, sorted.")
    ]
    output_files: _Files
    timestamp: _Time


EVENTS: dict[str, Any] = {
    "completion": CompletionEvent,
    "rolled_back": RolledBackEvent,
    "deletion": DeletionEvent,
}
"""The models by the names of their schema files."""
