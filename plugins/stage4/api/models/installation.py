"""Answers about what the installation consists of."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field


class Dependency(BaseModel):
    """Something that this API or the DAGs need."""

    status: Literal["up", "down", "off"] = Field(description="`off`: it is not configured.")
    detail: str
    seconds: float | None = Field(description="That its answer took; null without an answer.")


class Live(BaseModel):
    """That this process answers; nothing of what it rests on."""

    status: Literal["alive"]
    service: Literal["stage4-clustering"]
    version: str


DependencyName = Literal[
    "postgres", "redis", "stage3", "stage3_stream", "event_receivers", "workspace"
]


class Health(BaseModel):
    """Whether look-ups work, and on what they rest."""

    status: Literal["healthy", "degraded", "down"] = Field(
        description="`down`: no look-ups. `degraded`: something else is amiss."
    )
    version: str
    dependencies: dict[DependencyName, Dependency]


class Gpu(BaseModel):
    """A GPU of a worker, and the memory in use on it, by all processes, around its last task."""

    uuid: str
    name: str
    memory_total_bytes: int
    memory_before_bytes: int
    memory_peak_bytes: int = Field(description="The most of the readings after each batch.")
    memory_after_bytes: int = Field(description="After the index was released.")
    utilisation_percent: float | None = Field(description="At the last reading.")
    job_id: str
    measured_at: AwareDatetime = Field(description="Time of the last reading.")


class Pool(BaseModel):
    """A pool of Airflow that tasks of Stage 4 take slots of."""

    name: str
    slots: int | None = Field(description="Null: without limit.")
    running: int
    queued: int
    scheduled: int


class Resources(BaseModel):
    """What the API server's host and the workers' GPUs have, and Airflow's pools have left."""

    cpus: int
    load_1_minute: float | None
    memory_total_bytes: int
    memory_available_bytes: int
    disk_total_bytes: int | None = Field(description="Of the workspace; null: not a local folder.")
    disk_free_bytes: int | None
    gpus: list[Gpu]
    pools: list[Pool]
