"""Settings of an installation: from the environment or an env file, never from a caller."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from clustering_tasks.settings.levels import LEVELS


class DeploymentSettings(BaseSettings):
    """Where and how the steps run; every field is the environment variable `STAGE4_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="STAGE4_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    runner: Literal["process", "docker"] = Field(
        "process", description="What runs a step: a local process or a Docker container."
    )
    workspace: str = Field(
        "workspace", description="URI (fsspec) of the folder that holds runs and artefacts."
    )
    indices: str = Field(
        "indices", description="URI (fsspec) of Stage 3's folder; read, never written."
    )
    output: str | None = Field(
        None, description="URI for the published JSONL; unset: `<workspace>/output`."
    )
    python: str | None = Field(
        None,
        description="Python executable of the process runner; unset: the worker's own. "
        "Name another environment's to keep the engine apart from Airflow.",
    )

    image: str = Field("stage4-clustering:cpu", description="Image of the Docker runner.")
    docker_url: str | None = Field(
        None, description="Docker engine; unset: DOCKER_HOST, else the local socket."
    )
    docker_network: str | None = Field(None, description="Docker network of the containers.")
    container_user: str = Field("1000:1000", description="User and group inside the containers.")
    host_workspace: str | None = Field(
        None,
        description="The workspace's path on the Docker host, where it differs from the worker's.",
    )
    host_indices: str | None = Field(
        None, description="Stage 3's folder on the Docker host, where it differs from the worker's."
    )
    gpu: bool = Field(False, description="Give the `cluster` containers the host's GPUs.")
    memory_limit: str | None = Field(
        None, description="Memory limit of a container, in Docker's form, e.g. `8g`."
    )
    cpus: float | None = Field(None, gt=0, description="CPU limit of a container.")

    stage3_url: str | None = Field(
        None, description="Stage 3's REST API; unset: the folder alone is checked."
    )
    stage3_timeout_seconds: float = Field(10, gt=0, description="Time-out of a Stage 3 request.")
    postgres_conn_id: str = Field(
        "stage4_postgres", description="Airflow connection of the results database."
    )
    stage5_conn_id: str | None = Field(
        None,
        description="Airflow HTTP connection of Stage 5's webhook (its password is the bearer "
        "token); unset: nobody is told.",
    )
    stage5_required: bool = Field(
        False, description="Whether a webhook that cannot be delivered fails the run."
    )

    retention_days: int = Field(
        90,
        ge=1,
        description="Age in days from which `housekeeping` removes runs (rows, JSONL, artefacts); "
        "the published run and the one before it stay.",
    )
    workspace_limit_bytes: int | None = Field(
        None,
        gt=0,
        description="Size above which `housekeeping` removes artefacts of the workspace, the least "
        "recently used first; unset: by age alone.",
    )
    deletion_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of the hashes by which deleted documents are known; unset: none can be "
        "deleted. Make it once, and keep it as long as deletions are to hold.",
    )
    redis_conn_id: str | None = Field(
        None,
        description="Airflow connection of a Redis, for the REST API's cache and its rate limits; "
        "unset: no cache, and limits that each API server process counts by itself.",
    )
    cache_seconds: int = Field(3600, gt=0, description="How long Redis keeps the API's answers.")
    api_requests_per_minute: int = Field(
        600, ge=1, description="Requests of one user to the REST API in a minute."
    )
    api_max_body_bytes: int = Field(
        262_144, ge=1024, description="Largest request body; a vector of 768 takes about 16,000."
    )
    api_statement_seconds: float = Field(
        5,
        gt=0,
        description="Longest time that one SQL statement of the REST API may take; comparing two "
        "runs may take six times as long.",
    )
    api_connections: int = Field(
        10, ge=1, description="Database connections of each API server process."
    )

    retries: int = Field(2, ge=0, description="Further tries after a transient failure.")
    retry_delay_seconds: float = Field(
        30, ge=0, description="Pause before the first retry; it doubles with each, up to an hour."
    )
    step_timeout_minutes: float = Field(240, gt=0, description="Longest time a step may take.")
    cluster_pool: str = Field("stage4_cluster", description="Airflow pool of the `cluster` tasks.")
    cluster_pool_slots: int = Field(
        2, ge=1, description="`cluster` tasks at a time, over all levels (with one GPU: 1)."
    )
    steps_pool: str = Field("stage4_steps", description="Airflow pool of all other steps.")
    steps_pool_slots: int = Field(4, ge=1, description="Other steps at a time, over all levels.")

    schedule_documents: str | None = Field(
        LEVELS["documents"].schedule, description="Cron, UTC; `none`: only on demand."
    )
    schedule_events: str | None = Field(
        LEVELS["events"].schedule, description="Cron, UTC; `none`: only on demand."
    )
    schedule_entities: str | None = Field(
        LEVELS["entities"].schedule, description="Cron, UTC; `none`: only on demand."
    )
    schedule_storylines: str | None = Field(
        LEVELS["storylines"].schedule, description="Cron, UTC; `none`: only on demand."
    )

    @field_validator(
        "schedule_documents",
        "schedule_events",
        "schedule_entities",
        "schedule_storylines",
        mode="before",
    )
    @classmethod
    def _none_is_no_schedule(cls, value: str | None) -> str | None:
        return None if value is None or value.strip().lower() == "none" else value

    @field_validator("workspace", "indices")
    @classmethod
    def _absolute(cls, uri: str) -> str:
        """Make local paths absolute: Airflow's processes do not share a working directory."""
        return uri if "://" in uri else str(Path(uri).absolute())

    @property
    def output_uri(self) -> str:
        """Folder of the published JSONL files."""
        return self.output or f"{self.workspace}/output"

    @property
    def deletion_key(self) -> str | None:
        """`deletion_secret` as text."""
        return self.deletion_secret.get_secret_value() if self.deletion_secret else None

    def schedule(self, level: str) -> str | None:
        """Cron expression of a level's DAG, None where it runs only on demand."""
        schedule: str | None = getattr(self, f"schedule_{level}")
        return schedule


@cache
def deployment() -> DeploymentSettings:
    """Read this process's deployment settings, once."""
    return DeploymentSettings()
