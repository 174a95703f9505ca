"""The whole local Airflow: PostgreSQL, schema, four processes; up, down, and whether it is well."""

import hashlib
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from local import services
from local.airflow_api import AirflowApi
from local.configuration import (
    HOST,
    PLUGINS,
    USER,
    Options,
    base_url,
    environment,
    write_configuration,
)
from local.errors import LocalError
from local.health import dag_files, is_fresh, moment, unhealthy
from local.postgres import Postgres
from local.signals import undisturbed
from local.state import REPO, State

HEALTH_SECONDS, PARSE_SECONDS = 300, 180
POOL_SETTINGS = ("STAGE4_CLUSTER_POOL", "STAGE4_STEPS_POOL")


@dataclass(frozen=True)
class Stack:
    """One local Airflow, described by its state folder; nothing runs until `up`."""

    state: State
    options: Options = field(default_factory=Options)
    report: Callable[[str], None] = print

    @cached_property
    def database(self) -> Postgres:
        """The embedded PostgreSQL."""
        return Postgres(self.state.postgres)

    @property
    def port(self) -> int | None:
        """The API server's port, None before the first start."""
        path = self.state.run / "port"
        return int(path.read_text()) if path.exists() else None

    @property
    def base_url(self) -> str:
        """The UI's address."""
        if self.port is None:
            raise LocalError("The local Airflow has never been started: run `make up`")
        return base_url(self.port)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all its processes; also right for an `airflow` command by hand."""
        return environment(self.state, self.database, self.options)

    def api(self) -> AirflowApi:
        """A new REST client, logged in; Airflow must be up."""
        api = AirflowApi(self.base_url, USER, self.state.secrets().password)
        api.login()
        return api

    def is_up(self) -> bool:
        """Whether all processes run."""
        everything = len(services.running(self.state)) == len(services.COMMANDS)
        return everything and self.database.pid() is not None

    def up(self) -> bool:
        """Start what does not run, wait until all is well; False when it was up already."""
        with self.state.lock():
            if self.is_up():
                self.wait_until_healthy(since=None)
                return False
            # Half a stack, or orphans of a crash: the tasks of a dead scheduler are lost.
            self._stop()
            try:
                self._start()
            except BaseException:
                # Also for Ctrl-C: a start that did not end well leaves nothing behind.
                self._stop()
                raise
            return True

    def down(self) -> None:
        """Stop everything that belongs to this state, also after a crash."""
        with self.state.lock():
            self._stop()

    def clean(self) -> None:
        """Stop everything and remove the state with all its data."""
        self.down()
        for folder in (*self.database.folders(), self.state.root):
            shutil.rmtree(folder, ignore_errors=True)

    def wait_until_healthy(self, since: datetime | None) -> None:
        """Wait for a heartbeat of every component (later than `since`); raises LocalError."""
        api = AirflowApi(self.base_url, USER, self.state.secrets().password)
        deadline = time.monotonic() + HEALTH_SECONDS
        missing = ["api-server"]
        while time.monotonic() < deadline:
            services.check_alive(self.state)
            missing = unhealthy(api.health(), since)
            if not missing:
                return
            time.sleep(0.25)
        raise LocalError(
            f"Airflow is not well after {HEALTH_SECONDS} s: {', '.join(missing)}. "
            f"Logs: {self.state.logs}"
        )

    def wait_until_parsed(self, since: datetime) -> None:
        """Wait until each DAG file was read after `since`; raises LocalError for a broken one."""
        api, deadline = self.api(), time.monotonic() + PARSE_SECONDS
        waiting = dag_files(self.options.dags)
        while waiting and time.monotonic() < deadline:
            services.check_alive(self.state)
            fresh = {dag["relative_fileloc"] for dag in api.dags() if is_fresh(dag, since)}
            broken = [e for e in api.import_errors() if moment(e["timestamp"]) >= since]
            if broken:
                raise LocalError(
                    "\n".join(f"{e['filename']}:\n{e['stack_trace'].strip()}" for e in broken)
                )
            waiting -= fresh
            time.sleep(0.25)
        if waiting:
            raise LocalError(
                f"No DAG was read from {', '.join(sorted(waiting))} in {PARSE_SECONDS} s; see "
                f"{self.state.logs / 'dag-processor.log'}"
            )

    def _start(self) -> None:
        since = datetime.now(UTC)
        self.report("PostgreSQL: starting")
        if self.database.start():
            self._migrated.unlink(missing_ok=True)
        port = free_port(self.options.port)
        (self.state.run / "port").write_text(str(port))
        write_configuration(self.state, self.database, self.options, port)
        self._migrate()
        self.report(f"Airflow: starting {', '.join(services.COMMANDS)}")
        for service in services.services(self.state):
            service.start(self.environment, self.options.folder)
        self.wait_until_healthy(since)
        self.report("Airflow: reading the DAGs")
        self.wait_until_parsed(since)

    def _stop(self) -> None:
        with undisturbed():
            services.stop(self.state)
            self.database.stop()

    @property
    def _migrated(self) -> Path:
        return self.state.run / "migrated"

    def _migrate(self) -> None:
        version = schema_version(self.environment)
        if self._migrated.exists() and self._migrated.read_text() == version:
            return
        self.report("Airflow: bringing the databases up to date")
        self._command("-m", "airflow", "db", "migrate")
        self._command("-m", "stage4.setup")
        self._migrated.write_text(version)

    def _command(self, *arguments: str) -> None:
        path = os.pathsep.join((str(REPO), str(PLUGINS)))
        log = self.state.logs / "migrate.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment | {"PYTHONPATH": path},
                cwd=self.options.folder,
                check=False,
            )
        if done.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-services.LOG_TAIL :])
            raise LocalError(
                f"python {' '.join(arguments)} ended with {done.returncode}. "
                f"The last lines of {log}:\n{tail}"
            )


def free_port(preferred: int) -> int:
    """`preferred` if it is free on the loopback interface, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LocalError(f"No free port on {HOST}")


def schema_version(environment: Mapping[str, str]) -> str:
    """A digest that changes when a schema or a pool may have changed."""
    digest = hashlib.sha256(importlib.metadata.version("apache-airflow-core").encode())
    for path in (PLUGINS / "stage4" / "setup.py", *migrations()):
        digest.update(path.read_bytes())
    pools = sorted(item for item in environment.items() if item[0].startswith(POOL_SETTINGS))
    digest.update(repr(pools).encode())
    return digest.hexdigest()


def migrations() -> list[Path]:
    """The scripts of schema `stage4`, in a fixed order."""
    return sorted((PLUGINS / "stage4" / "database" / "migrations").rglob("*.py"))
