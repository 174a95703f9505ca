"""How the local Airflow is configured: `airflow.cfg`, and the environment of its processes."""

import configparser
import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from local.errors import LocalError
from local.postgres import RESULTS, Postgres
from local.state import REPO, State, write_private

HOST = "127.0.0.1"
PLUGINS = REPO / "plugins"
USER = "admin"
# Marks every process of a stack, whatever session or process group it moves to.
MARKER = "STAGE4_LOCAL_STACK"
# A shell that is set up for another Airflow must not leak into this one.
FOREIGN = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
# What leads to the results of an installation: its settings, and connections to its servers.
OF_AN_INSTALLATION = ("STAGE4_", "AIRFLOW_")


@dataclass(frozen=True)
class Options:
    """What a test or the demo may choose; the defaults are those of `make up`.

    `environment` is given to every process and overrides everything else. `folder` is the working
    directory of the processes; settings are also read from its `.env`. `port` is used if it is
    free; 0 takes any. `isolated`: neither `.env` nor the settings and connections of the caller's
    environment count, so that nothing of an installation is read or written.
    """

    dags: Path = REPO / "dags"
    folder: Path = REPO
    port: int = 8080
    environment: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False


def base_url(port: int) -> str:
    """The UI's address; the REST API is below it, at /api/v2."""
    return f"http://{HOST}:{port}"


def write_configuration(state: State, database: Postgres, options: Options, port: int) -> None:
    """Write airflow.cfg (mode 0600: it holds secrets) and the password of the one user."""
    parser = configparser.RawConfigParser()
    parser.read_dict(settings(state, database, options, port))
    text = io.StringIO()
    parser.write(text)
    write_private(state.airflow_home / "airflow.cfg", text.getvalue().replace("%", "%%"))
    write_private(passwords_file(state), {USER: state.secrets().password})


def passwords_file(state: State) -> Path:
    """Where SimpleAuthManager reads the password."""
    return state.airflow_home / "passwords.json"


def settings(
    state: State, database: Postgres, options: Options, port: int
) -> dict[str, dict[str, str]]:
    """The sections of airflow.cfg; everything else is Airflow's default."""
    secrets = state.secrets()
    return {
        "core": {
            "dags_folder": str(options.dags),
            "plugins_folder": str(PLUGINS),
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "executor": "local.executor.LastingLocalExecutor",
            "parallelism": str(max(4, os.cpu_count() or 1)),
            "fernet_key": secrets.fernet_key,
            "execution_api_server_url": f"{base_url(port)}/execution/",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(passwords_file(state)),
            "min_serialized_dag_update_interval": "5",
        },
        "database": {"sql_alchemy_conn": database.url("airflow", "postgresql+psycopg")},
        "api": {
            "host": HOST,
            "port": str(port),
            "base_url": base_url(port),
            "workers": "1",
            "secret_key": secrets.api_secret_key,
        },
        "api_auth": {"jwt_secret": secrets.jwt_secret},
        "dag_processor": {
            "refresh_interval": "10",
            "bundle_refresh_check_interval": "1",
            "parsing_processes": "2",
            # A file that changes is read at the next refresh anyway; to read all of them again each
            # 30 s, the default, takes a tenth of a core.
            "min_file_process_interval": "120",
            # After the defaults of 50 s, a busy machine's DAGs were taken for gone, and a running
            # `cluster_all` never ended.
            "dag_file_processor_timeout": "300",
            "stale_dag_threshold": "300",
        },
        "logging": {"base_log_folder": str(state.airflow_home / "logs")},
        "scheduler": {"enable_health_check": "False", "task_instance_heartbeat_timeout": "120"},
        # The default of 3 kills every running task when the API server is restarted.
        # Nor may a task fail that starts or reports meanwhile: 20 attempts take two minutes.
        "workers": {
            "max_failed_heartbeats": "60",
            "execution_api_retries": "20",
            "execution_api_retry_wait_max": "10",
        },
        "usage_data_collection": {"enabled": "False"},
    }


def environment(state: State, database: Postgres, options: Options) -> dict[str, str]:
    """The environment of Airflow's processes, hence of the steps that they start."""
    foreign = (*FOREIGN, *OF_AN_INSTALLATION) if options.isolated else FOREIGN
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    env_file = {} if options.isolated else dotenv_values(options.folder / ".env")
    chosen = {key: value for key, value in env_file.items() if value is not None}
    own = fixed(state, database) | ({"STAGE4_ENV_FILE": os.devnull} if options.isolated else {})
    given = defaults(state) | chosen | inherited | own | dict(options.environment)
    return logs(given) | given


def logs(given: Mapping[str, str]) -> dict[str, str]:
    """How Airflow's services write their logs.

    Raises:
        LocalError: STAGE4_JSON_LOGS is neither true nor false.
    """
    wanted = given.get("STAGE4_JSON_LOGS") or "false"
    if wanted.lower() not in ("true", "false"):
        raise LocalError(f"STAGE4_JSON_LOGS={wanted!r} is neither `true` nor `false`")
    return {"AIRFLOW__LOGGING__JSON_LOGS": wanted}


def defaults(state: State) -> dict[str, str]:
    """What the user's own environment may override."""
    return {
        "STAGE4_WORKSPACE": str(state.workspace),
        "STAGE4_OUTPUT": str(state.output),
        "STAGE4_INDICES": str(state.sample),
        "STAGE4_DELETION_SECRET": state.secrets().deletion_secret,
        "OMP_WAIT_POLICY": "PASSIVE",  # idle OpenMP threads must not spin beside other tasks
    }


def fixed(state: State, database: Postgres) -> dict[str, str]:
    """What must be as it is."""
    excepted = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST, "localhost")
    no_proxy = ",".join(filter(None, excepted))
    return {
        MARKER: str(state.root),
        "AIRFLOW_HOME": str(state.airflow_home),
        "AIRFLOW_CONN_STAGE4_POSTGRES": json.dumps(database.connection(RESULTS)),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(REPO),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
