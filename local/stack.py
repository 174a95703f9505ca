"""The whole local Airflow: PostgreSQL, schema, four processes; up, down, and whether it is well."""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from clustering_tasks.settings.deployment import variables
from local import services
from local.airflow_api import AirflowApi
from local.configuration import (
    PLUGINS,
    USER,
    Options,
    base_url,
    environment,
    write_configuration,
)
from local.errors import LocalError
from local.health import dag_files, is_fresh, moment, unhealthy
from local.ports import claimed_port, listens
from local.postgres import Postgres
from local.signals import undisturbed
from local.state import REPO, State
from local.supervisor import COMMANDS, Supervisor, tail

HEALTH_SECONDS, PARSE_SECONDS = 300, 180
POOL_SETTINGS = ("STAGE4_CLUSTER_POOL", "STAGE4_STEPS_POOL")


class SlowStartError(LocalError):
    """Airflow runs and is well, and has not read its DAGs yet: no reason to stop it."""


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

    @cached_property
    def supervisor(self) -> Supervisor:
        """What starts Airflow's processes, and starts them again."""
        return Supervisor(self.state)

    @property
    def port(self) -> int | None:
        """The API server's port, None before the first start."""
        path = self.state.run / "port"
        return int(path.read_text()) if path.exists() else None

    @property
    def base_url(self) -> str:
        """The UI's address."""
        if self.port is None:
            raise self._never_started()
        return base_url(self.port)

    def _never_started(self) -> LocalError:
        return LocalError(
            f"The local Airflow of {self.state.root} has never been started: "
            f"run `{self.state.make('up')}`"
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all its processes; also right for an `airflow` command by hand."""
        return environment(self.state, self.database, self.options)

    def api(self) -> AirflowApi:
        """A new REST client, logged in; Airflow must be up."""
        api = AirflowApi(
            self.base_url, USER, self.state.secrets().password, check=self.supervisor.check
        )
        api.login()
        return api

    def is_up(self) -> bool:
        """Whether all processes run, and PostgreSQL takes connections."""
        return self.supervisor.all_run() and self.database.answers()

    def changed_settings(self) -> list[str]:
        """Names of settings and connections with which the running services were not started."""
        process = self.supervisor.process()
        if process is None:
            return []
        running, wanted = process.environ(), self.environment
        connections = {name for name in {*running, *wanted} if name.startswith("AIRFLOW_CONN_")}
        names = connections | variables()
        return sorted(name for name in names if running.get(name) != wanted.get(name))

    def up(self) -> bool:
        """Start what does not run, wait until all is well; False when it was up already."""
        with self.state.lock():
            if self.supervisor.process() is not None and self.database.pid() is not None:
                self.database.start(self.report)  # woken, or started again, if it stands still
            if self.is_up():
                self._wait_until(all_components(since=None))
                return False
            if self.supervisor.process() is not None and self.database.answers():
                self._repair()
                return True
            # Nobody would start the orphans of a crash again. A database that was killed starts
            # only when its last clients have ended.
            self._stop()
            try:
                self._start()
            except SlowStartError:
                raise
            except BaseException:
                # Also for Ctrl-C: a start that did not end well leaves nothing behind.
                self._stop()
                raise
            return True

    @contextmanager
    def database_up(self) -> Iterator[None]:
        """Let PostgreSQL run until the block ends; what did not run before is stopped again.

        Raises:
            LocalError: there is no data yet, or the server stands still.
        """
        if self.database.answers():
            yield
            return
        if (pid := self.database.pid()) is not None:
            raise LocalError(
                f"PostgreSQL (process {pid}) runs, and takes no connection: `make up` starts it "
                f"again. Its log: {self.database.log}"
            )
        if not (self.database.data / "PG_VERSION").exists():
            raise self._never_started()
        with self.state.lock():
            self.database.start()
            try:
                yield
            finally:
                self.database.stop()

    def down(self) -> None:
        """Stop everything that belongs to this state, also after a crash."""
        with self.state.lock():
            self._stop()

    def clean(self) -> None:
        """Stop everything and remove the state with all its data."""
        self.down()
        for folder in (*self.database.folders(), self.state.sockets, self.state.root):
            shutil.rmtree(folder, ignore_errors=True)

    def check(self) -> None:
        """Raise LocalError if something has ended for good."""
        self.supervisor.check()

    def _wait_until(
        self, ill: Callable[[AirflowApi], list[str]], *, first_start: bool = False
    ) -> None:
        """Wait until this stack's own API server answers and nothing is `ill`; else LocalError."""
        api = AirflowApi(self.base_url, USER, self.state.secrets().password)
        deadline = time.monotonic() + HEALTH_SECONDS
        while time.monotonic() < deadline:
            self.supervisor.check(first_start=first_start)
            missing = ill(api) if self._owns_port() else ["api-server"]
            if not missing:
                return
            time.sleep(0.25)
        raise LocalError(
            f"Airflow is not well after {HEALTH_SECONDS} s: {', '.join(missing)}. "
            f"Logs: {self.state.logs}"
        )

    def _owns_port(self) -> bool:
        """Whether this stack's API server listens at its port; another one may answer there."""
        server, port = self.supervisor.service("api-server"), self.port
        return server is not None and port is not None and listens(server, port)

    def wait_until_parsed(self, since: datetime) -> None:
        """Wait until each DAG file was read after `since`; raises LocalError for a broken one."""
        api, deadline = self.api(), time.monotonic() + PARSE_SECONDS
        waiting = dag_files(self.options.dags)
        while waiting and time.monotonic() < deadline:
            self.supervisor.check(first_start=True)
            fresh = {dag["relative_fileloc"] for dag in api.dags() if is_fresh(dag, since)}
            broken = [e for e in api.import_errors() if moment(e["timestamp"]) >= since]
            if broken:
                raise LocalError(
                    "\n".join(f"{e['filename']}:\n{e['stack_trace'].strip()}" for e in broken)
                )
            waiting -= fresh
            time.sleep(0.25)
        if waiting:
            raise SlowStartError(
                f"No DAG was read from {', '.join(sorted(waiting))} in {PARSE_SECONDS} s; "
                f"{self.state.logs / 'dag-processor.log'} may tell why. Airflow runs and goes on "
                f"reading; `{self.state.make('down')}` stops it"
            )

    def _start(self) -> None:
        since = datetime.now(UTC)
        self._command("-m", "clustering_tasks", "check-settings")
        self.report("PostgreSQL: starting")
        if self.database.start(self.report):
            self._migrated.unlink(missing_ok=True)
        with claimed_port(self.options.port) as (port, claim):
            (self.state.run / "port").write_text(str(port))
            write_configuration(self.state, self.database, self.options, port)
            self._migrate()
            self.supervisor.start(self.environment, self.options.folder, claim)
        self.report(f"Airflow: starting {', '.join(COMMANDS)}")
        self._launch(since, first_start=True)
        self.report("Airflow: reading the DAGs")
        self.wait_until_parsed(since)

    def _repair(self) -> None:
        """Start what has been given up; what runs goes on, and so do the tasks."""
        since = datetime.now(UTC)
        self.report("Airflow: starting what does not run")
        self._launch(since)

    def _launch(self, since: datetime, *, first_start: bool = False) -> None:
        # A task that the scheduler starts reports to the API server, and fails where none answers.
        self.supervisor.launch(*(name for name in COMMANDS if name != "scheduler"))
        self._wait_until(api_server, first_start=first_start)
        self.supervisor.launch("scheduler")
        self._wait_until(all_components(since), first_start=first_start)

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
            begin = output.tell()
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
            raise LocalError(
                f"python {' '.join(arguments)} ended with {done.returncode}. "
                f"The last lines of {log}:\n{tail(log, begin)}"
            )


def api_server(api: AirflowApi) -> list[str]:
    """The API server, unless it answers."""
    return [] if api.health() else ["api-server"]


def all_components(since: datetime | None) -> Callable[[AirflowApi], list[str]]:
    """What returns the components that are not well, or without a heartbeat after `since`."""
    return lambda api: unhealthy(api.health(), since)


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
