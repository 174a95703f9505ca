"""Settings of an installation: from the environment or an env file, never from a caller."""

import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from upath import UPath

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.runners import RUNNERS
from clustering_tasks.settings.source_tables import SourceTables
from clustering_tasks.settings.webhook_secrets import webhook_secrets

if TYPE_CHECKING:
    RunnerName = str
else:
    RunnerName = Literal[(*RUNNERS,)]


LogLevel = Literal["debug", "info", "warning", "error"]
Names = tuple[str, ...]  # separated by commas or blanks
_MEMORY = re.compile(r"\d+(\.\d+)?([bkmgt]b?)?", re.IGNORECASE)
# Variables that other parts of the product read, or the tests.
_OF_OTHERS = frozenset(
    f"STAGE4_{name}"
    for name in (
        *("AIRFLOW_IMAGE", "DB_PASSWORD", "ENV_FILE", "EXIT_WITH_PARENT", "HOST_INDICES"),
        *("HOST_WORKSPACE", "INDICES_DIR", "LLM", "PASSWORD_FILE", "POSTGRES", "POSTGRES_IMAGE"),
        *("REDIS", "REDIS_IMAGE", "SOCKET_PROXY_IMAGE", "STATE", "TEST_DATA", "TEST_PICTURES"),
        *("TILES", "TOKEN", "UI_PORT", "URL", "USER", "WORKSPACE_DIR"),
    )
)
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")
_UNTOLD = frozenset({"source_tables"})  # what is given may hold what nobody should read in a log


class DeploymentSettings(BaseSettings):
    """Where and how the steps run; every field is the environment variable `STAGE4_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="STAGE4_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        enable_decoding=False,  # else JSON that is none is refused without a variable's name
        allow_inf_nan=False,
    )

    runner: RunnerName = Field(
        "process",
        description="What runs the steps: "
        + ", ".join(f"`{runner.name}` {runner.does}" for runner in RUNNERS.values())
        + ".",
    )
    workspace: str = Field(
        "workspace",
        description="Folder of the runs and of what the steps compute: a path or an fsspec URI. "
        "Every step must be able to read and write it.",
    )
    indices: str = Field(
        "indices",
        description="Stage 3's output folder with the indexes and metadata: a path or an fsspec "
        "URI. It is only read.",
    )
    output: str | None = Field(
        None,
        description="Folder of the published JSONL files: a path or an fsspec URI. Unset: "
        "`<workspace>/output`.",
    )
    python: str | None = Field(
        None,
        description="Only with the process runner: Python executable that runs the steps, to keep "
        "their packages apart from Airflow's. Unset: the worker's own.",
    )

    image: str = Field(
        "stage4-clustering:cpu",
        description="Only with the Docker runner: image of the step containers.",
    )
    docker_url: str | None = Field(
        None,
        description="Only with the Docker runner: URL of the Docker engine. Unset: DOCKER_HOST, "
        "else the local socket.",
    )
    docker_network: str | None = Field(
        None,
        description="Only with the Docker runner: Docker network of the containers. Unset: no "
        "network where workspace and indices are local folders, else Docker's default "
        "network.",
    )
    container_user: str = Field(
        "1000:1000",
        description="Only with the Docker runner: user and group ids of the processes in the "
        "containers, which must be able to write to the workspace.",
    )
    host_workspace: str | None = Field(
        None,
        description="Only with the Docker runner: path of the workspace on the Docker host. "
        "Unset: the same path as on the worker.",
    )
    host_indices: str | None = Field(
        None,
        description="Only with the Docker runner: path of Stage 3's folder on the Docker host. "
        "Unset: the same path as on the worker.",
    )
    gpu: bool = Field(
        False,
        description="Whether the `cluster` tasks are given GPUs. With the Docker runner their "
        "containers get all of the host's. With each runner one task then searches a block of "
        "items whole, and one runs at a time (STAGE4_CLUSTER_POOL_SLOTS).",
    )
    gpu_memory_bytes: int | None = Field(
        None,
        gt=0,
        description="Most memory in use on a GPU, by these and by all other processes, in bytes: "
        "a `cluster` task takes what is left below it. Unset: 7/8 of the card, 14 GB of 16.",
    )
    memory_limit: str | None = Field(
        None,
        description="Only with the Docker runner: most memory of a container, in Docker's "
        "notation, for example `8g`. Unset: no limit.",
    )
    cpus: float | None = Field(
        None,
        gt=0,
        description="Only with the Docker runner: most CPUs of a container; 1.5 is one and a "
        "half. Unset: no limit.",
    )

    stage3_url: str | None = Field(
        None,
        description="URL of Stage 3's REST API, whose health and counts are checked before a run. "
        "Unset: only the folder is checked.",
    )
    stage3_timeout_seconds: float = Field(
        10, gt=0, description="Seconds after which an unanswered request to Stage 3 fails."
    )
    stage3_stream_conn_id: str | None = Field(
        None,
        description="Id of the Airflow connection of type `redis` to Stage 3's stream of events, "
        "which start the levels' DAGs (docs/EVENTS.md). Unset: no stream is read.",
    )
    stage3_webhook_conn_id: str | None = Field(
        None,
        description="Id of the Airflow connection whose password is the secret that Stage 3 signs "
        "its webhook with, `whsec_` and 24 to 64 bytes in base64; while it is being replaced, the "
        "new and the old one, separated by a blank. Unset: the webhook takes nothing.",
    )
    min_embeddings: int = Field(
        1,
        ge=1,
        description="Fewest embeddings that Stage 3's events must have announced since a level's "
        "last run by events, before they start another one; an event without a number is enough.",
    )
    postgres_conn_id: str = Field(
        "stage4_postgres",
        description="Id of the Airflow connection to the results database (PostgreSQL).",
    )
    source_tables: SourceTables = Field(
        default_factory=dict,
        description="Tables of PostgreSQL that runs may be read from, as JSON: name to connection, "
        "level, table and columns (docs/DEPLOYMENT.md). A run chooses one by "
        "`input.source=postgres` and `input.table`. Empty: none.",
    )
    tags: str | None = Field(
        None,
        description="File of the tags that clusters and items may get beside Stage 3's own, one a "
        "line (docs/TAGS.md): a path or an fsspec URI that the worker can read. Runs that set "
        "`tags.listed` have their own. Unset: none.",
    )
    llm_conn_id: str | None = Field(
        None,
        description="Id of the Airflow HTTP connection to a language model with OpenAI's API, "
        "which is asked for labels (docs/LABELS.md): its host is the URL, its password the key, "
        "`model` of its extra the model. Texts of clusters are sent there. Unset: labels are made "
        "locally.",
    )
    stage5_conn_id: str | None = Field(
        None,
        description="Id of the Airflow HTTP connection to Stage 5's webhook, which is notified of "
        "published runs; its password is the bearer token. Unset: no notification.",
    )
    stage5_required: bool = Field(
        False,
        description="Whether a run fails if Stage 5's webhook cannot be reached. False: its task "
        "is skipped.",
    )
    event_receivers: Names = Field(
        (),
        description="Ids of the Airflow connections that events are sent to, separated by commas: "
        "of type `http` a webhook, of type `nats` or `redis` a stream (docs/EVENTS.md). "
        "Empty: none.",
    )
    event_hours: float = Field(
        72,
        gt=0,
        le=876_000,
        description="Hours for which an event that a receiver does not take is tried again; then "
        "it is given up, and kept for `stage4 events resend`.",
    )
    callback_hosts: Names = Field(
        (),
        description="Hosts that a run's `callback_url` may name, separated by commas: "
        "`hooks.example.org`, `*.example.org`, `hooks.example.org:8443`. Empty: no callbacks.",
    )
    callback_networks: Names = Field(
        (),
        description="Only with STAGE4_CALLBACK_HOSTS: networks outside the public internet that "
        "a `callback_url` may lead to, separated by commas, for example `10.1.0.0/16`. Empty: "
        "none.",
    )
    callback_secret: SecretStr | None = Field(
        None,
        description="Only with STAGE4_CALLBACK_HOSTS: secret that signs callbacks, `whsec_` and "
        "24 to 64 bytes in base64; while it is being replaced, the new and the old one, separated "
        "by a blank. Unset: no callbacks.",
    )

    retention_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="Days after which `housekeeping` deletes a run (database rows, JSONL, "
        "artefacts). The published run and the one before it are kept.",
    )
    workspace_limit_bytes: int | None = Field(
        None,
        gt=0,
        description="Largest size of the workspace in bytes: above, `housekeeping` deletes the "
        "least recently used artefacts. Unset: no limit; only age counts.",
    )
    deletion_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret key of the hashes that identify deleted documents. Create it once and "
        "keep it unchanged: with another key, earlier deletions are no longer "
        "recognised. Unset: no document can be deleted.",
    )
    redis_conn_id: str | None = Field(
        None,
        description="Id of the Airflow connection to Redis, which holds the REST API's cache and "
        "rate limits. Unset: no cache, and each API server process counts its own "
        "rate limits.",
    )
    cache_seconds: int = Field(
        3600,
        gt=0,
        description="Only with Redis: seconds for which an answer of the REST API is cached.",
    )
    api_requests_per_minute: int = Field(
        600,
        ge=1,
        description="Most requests of one user to the REST API in a minute; further ones are "
        "refused with status 429.",
    )
    api_max_body_bytes: int = Field(
        262_144,
        ge=1024,
        description="Largest accepted request body in bytes. A vector of 768 numbers takes about "
        "16,000.",
    )
    api_body_seconds: float = Field(
        10,
        gt=0,
        description="Seconds within which a request's body must be there; a slower one is refused "
        "with status 408.",
    )
    login_failures_per_minute: int = Field(
        30,
        ge=1,
        description="Most failed log-ins to Airflow's API server from one address in a minute; "
        "further ones are refused with status 429. Each API server process counts its own.",
    )
    api_statement_seconds: float = Field(
        5,
        gt=0,
        description="Seconds after which an SQL statement of the REST API is cancelled; the "
        "comparison of two runs has six times as long.",
    )
    api_connections: int = Field(
        10, ge=1, description="Most database connections of each API server process."
    )

    api_streams: int = Field(
        100,
        ge=1,
        description="Most open streams of progress of each API server process, those of the "
        "dashboard included; a user may hold a quarter of them. Further ones are refused with "
        "status 429.",
    )

    log_level: LogLevel = Field(
        "info",
        description="Least severe messages that the steps log: `debug`, `info`, `warning` or "
        "`error`. Airflow's own level is AIRFLOW__LOGGING__LOGGING_LEVEL.",
    )
    json_logs: bool = Field(
        False,
        description="Whether Airflow's services write JSON, one object a line, as the steps do: "
        "`true` or `false`. `make up` and Compose set AIRFLOW__LOGGING__JSON_LOGS by it.",
    )

    retries: int = Field(
        2,
        ge=0,
        description="How often a task is tried again after a failure that may pass. 0: never.",
    )
    retry_delay_seconds: float = Field(
        30,
        ge=0,
        description="Seconds before the first retry. The pause doubles with each retry, up to an "
        "hour.",
    )
    step_timeout_minutes: float = Field(
        240, gt=0, description="Minutes after which a step is stopped and fails."
    )
    run_timeout_minutes: float | None = Field(
        None,
        gt=0,
        description="Minutes after which a run of a level is stopped and fails, waiting for slots "
        "and retries included; waiting for the run before it does not count. Unset: no limit but "
        "that of each step.",
    )
    max_items: int | None = Field(
        None,
        gt=0,
        description="Most items of a level that a run takes. A run of a larger level is refused "
        "before anything is copied, and readers keep the previous run. Unset: no limit.",
    )
    cluster_pool: str = Field(
        "stage4_cluster", description="Name of the Airflow pool of the `cluster` tasks."
    )
    cluster_pool_slots: int | None = Field(
        None,
        ge=1,
        description="Most `cluster` tasks that run at the same time, over all levels. Unset: 2; "
        "with STAGE4_GPU=true 1, because a task uses all GPUs that it is given.",
    )
    batch_rows: int | None = Field(
        None,
        ge=1024,
        description="Most items whose neighbours `cluster` searches at a time; fewer take less "
        "memory and more time, and the clusters are the same. Default: 98,304; a `cluster` task "
        "that was out of memory is tried again with half of it.",
    )
    checkpoint_seconds: float = Field(
        30,
        ge=0,
        description="`cluster` keeps what it has found about every so many seconds, so that a task "
        "that is paused, killed or lost goes on from there. Shorter blocks cost time: each reads "
        "the vectors of its level again. 0: nothing is kept.",
    )
    steps_pool: str = Field(
        "stage4_steps", description="Name of the Airflow pool of all other steps."
    )
    steps_pool_slots: int = Field(
        4, ge=1, description="Most other steps that run at the same time, over all levels."
    )

    schedule_documents: str | None = Field(
        LEVELS["documents"].schedule,
        description="When `cluster_documents` starts by itself: a cron expression, UTC. `none`: "
        "only on demand.",
    )
    schedule_events: str | None = Field(
        LEVELS["events"].schedule,
        description="When `cluster_events` starts by itself: a cron expression, UTC. `none`: only "
        "on demand.",
    )
    schedule_entities: str | None = Field(
        LEVELS["entities"].schedule,
        description="When `cluster_entities` starts by itself: a cron expression, UTC. `none`: "
        "only on demand.",
    )
    schedule_storylines: str | None = Field(
        LEVELS["storylines"].schedule,
        description="When `cluster_storylines` starts by itself: a cron expression, UTC. `none`: "
        "only on demand.",
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

    @field_validator("event_receivers", "callback_hosts", "callback_networks", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("source_tables", mode="before")
    @classmethod
    def _of_json(cls, value: object) -> object:
        try:
            return orjson.loads(value) if isinstance(value, str) else value
        except orjson.JSONDecodeError as error:
            raise ValueError(f"no valid JSON: {error}") from None

    @field_validator("workspace", "indices", "output")
    @classmethod
    def _a_place(cls, uri: str | None) -> str | None:
        if uri is not None:
            place(uri)
        return uri

    @field_validator("stage3_url")
    @classmethod
    def _over_http(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://unset")
        if url is not None and _UNSEEN.search(url):
            raise ValueError("there are blanks or control characters in it")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("give http:// or https://, a host, and a port up to 65535")
        return url

    @field_validator("memory_limit")
    @classmethod
    def _in_dockers_notation(cls, limit: str | None) -> str | None:
        if limit is not None and not _MEMORY.fullmatch(limit.strip()):
            raise ValueError("give a number and b, k, m, g or t, such as 8g")
        return limit

    @field_validator("callback_networks")
    @classmethod
    def _known_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks

    @field_validator("callback_secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            webhook_secrets(secret.get_secret_value())
        return secret

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_small_letters(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

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
    def cluster_slots(self) -> int:
        """Slots of the pool of the `cluster` tasks."""
        return self.cluster_pool_slots or (1 if self.gpu else 2)

    @property
    def deletion_key(self) -> str | None:
        """`deletion_secret` as text."""
        return self.deletion_secret.get_secret_value() if self.deletion_secret else None

    @property
    def callbacks(self) -> bool:
        """Whether a run may name a receiver of its own."""
        return bool(self.callback_hosts) and self.callback_secret is not None

    @property
    def sends_events(self) -> bool:
        """Whether anybody may receive events."""
        return bool(self.event_receivers) or self.callbacks

    def schedule(self, level: str) -> str | None:
        """Cron expression of a level's DAG, None where it runs only on demand."""
        schedule: str | None = getattr(self, f"schedule_{level}")
        return schedule


def place(uri: str) -> UPath:
    """Read where a folder lies, a local one as an absolute path.

    Raises:
        ValueError: it is blank, or of a protocol that is not known.
    """
    if not uri.strip():
        raise ValueError("it is blank: name a folder or a URI")
    return UPath(uri) if "://" in uri else UPath(uri).absolute()


@cache
def deployment() -> DeploymentSettings:
    """Read this process's deployment settings, once; STAGE4_ENV_FILE names another file.

    Raises:
        SettingsError: naming every variable with a wrong value, or an env file that is not there.
    """
    file = os.environ.get("STAGE4_ENV_FILE")
    if file and not Path(file).exists():
        raise SettingsError(f"STAGE4_ENV_FILE={file} does not exist: correct or unset it")
    try:
        return DeploymentSettings(_env_file=file or ".env")
    except ValidationError as error:
        lines = "\n".join(f"  - {line}" for line in _explain(error))
        raise SettingsError(f"settings of the installation refused:\n{lines}") from None


def variables() -> frozenset[str]:
    """Names of the environment variables that are settings of an installation."""
    return frozenset(f"STAGE4_{name.upper()}" for name in DeploymentSettings.model_fields)


def misspelt(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that nobody reads, each with the one that may have been meant.

    Args:
        names: of the environment's variables.
    """
    known = variables()
    for name in sorted(names):
        if name.startswith("STAGE4_") and name not in known | _OF_OTHERS:
            for near in get_close_matches(name, sorted(known), n=1, cutoff=0.8):
                yield name, near


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        name, *within = map(str, problem["loc"])
        where = "".join(f" {part}:" for part in [".".join(within)] if part)
        given = "" if _is_untold(name) else f" (got {problem['input']!r})"
        yield f"STAGE4_{name.upper()}:{where} {problem['msg']}{given}"


def _is_untold(name: str) -> bool:
    return name in _UNTOLD or "SecretStr" in str(DeploymentSettings.model_fields[name].annotation)
