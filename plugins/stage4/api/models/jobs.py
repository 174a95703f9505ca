"""Answers about jobs, the runs of Stage 4's DAGs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stage4.api.models.shared import Page
from stage4.api.parameters import LevelName, LevelOrAll
from stage4.tasks import LEVEL_TASKS

JobState = Literal["queued", "running", "paused", "completed", "failed", "canceled"]


class Job(BaseModel):
    """A run of one of Stage 4's DAGs."""

    job_id: str
    dag_id: str
    dag_run_id: str
    level: LevelName | None = Field(description="Null: all of them, `cluster_all`.")
    state: JobState
    paused: bool = Field(
        description="Whether its DAG is paused in Airflow: then no further task starts. A job that"
        " is paused by itself has the state `paused`."
    )
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class JobPage(Page):
    """A page of jobs, newest first."""

    jobs: list[Job]


class JobTask(BaseModel):
    """A task of a job."""

    task_id: str
    states: dict[str, int] = Field(
        description="Airflow's states and how many instances (a mapped task's parts) have each;"
        " `none`: not scheduled yet."
    )


class IdleSetting(BaseModel):
    """A setting that the job's caller has chosen and that has no effect."""

    setting: str = Field(description="Dotted name.")
    value: Any
    reason: str = Field(description="Begins with `acts only where`.")


class JobQuality(BaseModel):
    """How good the clusters of a job are, without gold; docs/METRICS.md says what each means."""

    silhouette: float | None = None
    davies_bouldin: float | None = None
    intra_cluster_similarity: float | None = None
    inter_cluster_similarity: float | None = None
    modularity: float | None = None
    density_validity: float | None = None
    stability: float | None = None
    mean_probability: float | None = None


class Forecast(BaseModel):
    """When a job may be done."""

    jobs_before: int | None = Field(
        description="Unfinished jobs of its DAG that are older: they run first. Null: it has ended."
    )
    expected_seconds: float | None = Field(
        description="Median duration of the last completed jobs of its DAG, without what they"
        " waited for their turn; null: there are none."
    )


class NewJob(BaseModel):
    """What is to be clustered, and how."""

    model_config = ConfigDict(extra="forbid")

    level: LevelOrAll
    settings: dict[str, Any] = Field(
        {},
        description="By dotted or nested names (docs/reference/settings.md); with `all`, `common`"
        " and each level have their own. Unset ones keep their defaults.",
    )
    idempotency_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Submitted again, the same key starts nothing: the answer is the same job.",
    )
    callback_url: str | None = Field(
        None,
        min_length=1,
        max_length=2000,
        description="The job's own receiver of events (docs/EVENTS.md), of a host that the"
        " installation allows.",
    )


class Submitted(Job, Forecast):
    """A job that is to be done."""

    created: bool = Field(description="False: the key was submitted before, and this is its job.")
    conf: dict[str, Any] = Field(
        description="What the run has: the settings, and `callback_url` where it has one."
    )


class JobAct(BaseModel):
    """What is to be done with a job."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["pause", "resume", "retry"] = Field(
        description="pause: no further task starts, what runs is finished. resume: tasks start"
        " again. retry: the failed tasks of a failed job, and all behind them, run again."
    )
    now: bool = Field(
        False,
        description="With `pause`: running tasks are ended, too; `resume` starts them again.",
    )
    from_task: str | None = Field(
        None,
        alias="from",
        description="With `retry`: this task of a failed or completed job of a level, and all"
        " behind it, run again, whether they have failed or not.",
        json_schema_extra={"enum": [*LEVEL_TASKS, None]},
    )


class JobDetails(Job, Forecast):
    """A job with its progress."""

    percent: float | None = Field(
        ge=0,
        le=100,
        description="What is done: mean over its tasks; of a mapped one, the share of its parts. "
        "100 only of a completed job; null: unknown.",
    )
    items_total: int | None = Field(description="Null until `snapshot` has counted them.")
    items_done: int | None = Field(
        description="Items whose neighbours are found, part by part of `cluster`, and from `plan`"
        " on those that a filter leaves out. Their clusters come with `merge`. Null: unknown."
    )
    parts_total: int | None = Field(description="Parts of `cluster`; null until `plan` has ended.")
    parts_done: int | None = Field(description="Of them, those that have succeeded.")
    parts_failed: int | None = Field(description="Of them, those whose last try has failed.")
    clusters: int | None = Field(description="Clusters found; null until `merge` has ended.")
    outliers: int | None = Field(
        description="Items in no cluster after the outlier policy, without those that a filter"
        " leaves out; null until `merge` has ended."
    )
    quality: JobQuality | None = Field(
        description="Null until `merge` has ended; each is null where nothing is to be measured."
    )
    error: str | None = Field(
        description="Message of the task that failed first, or why a run without a failed task"
        " has failed; null: nothing has."
    )
    idle_settings: list[IdleSetting] | None = Field(
        description="Chosen settings without effect; null until `check_stage3` has ended, and for"
        " `cluster_all`, whose levels have their own jobs."
    )
    tasks: list[JobTask]
