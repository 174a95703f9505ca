"""Faults, done for real: signals, full disks, servers that end, connections that break.

Each is a function of its kind's name. It gets the installation and the fault's target, and returns
whether there was anything to hit: a task may be over before its fault comes, and a server that is
away for a while may be missed by nobody.
"""

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import psutil
import psycopg
import tenacity
from docker.errors import DockerException
from requests import RequestException

from local.errors import LocalError
from local.postgres import AIRFLOW, RESULTS, Postgres
from tests.e2e.chaos.engine import Engine
from tests.e2e.chaos.installation import DAGS, Installation
from tests.e2e.chaos.proxy import Mode, can_be_silent
from tests.e2e.chaos.schedule import KINDS, Fault
from tests.e2e.chaos.server import end_server

LEFT_BYTES = 1 << 20  # of memory that a step may still get
FIND_SECONDS = 5.0  # for a step's process to appear below its task
HOUR = 3600.0
CLOCK_FACTOR = 30  # a clock of the services jumps by minutes
EVENT_SECONDS = 20.0  # for an event to come
DUMB_SECONDS = 30.0  # in which a server recovers from less than a minute's writing
STOPPED_FACTOR = 8  # a supervisor stops for longer than Airflow waits for a heartbeat, often


@dataclass(frozen=True)
class Target:
    """What a fault hits: a task of a run that is at work, by its process."""

    fault: Fault
    pid: int

    def is_at_work(self) -> bool:
        """Whether this try of the task still runs, or stands still."""
        process = _process(self.pid)
        with suppress(psutil.NoSuchProcess):
            return process is not None and process.status() != psutil.STATUS_ZOMBIE
        return False


Strike = Callable[[Installation, Target], bool]


def step_killed(_: Installation, target: Target) -> bool:
    return _signal(_step(target), signal.SIGKILL)


def step_terminated(_: Installation, target: Target) -> bool:
    return _signal(_step(target), signal.SIGTERM)


def step_stopped(_: Installation, target: Target) -> bool:
    return _stop(_step(target), target.fault.seconds)


def step_memory_refused(_: Installation, target: Target) -> bool:
    step = _step(target)
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        if step is not None:
            most = step.memory_info().vms + LEFT_BYTES
            resource.prlimit(step.pid, resource.RLIMIT_AS, (most, most))
            return True
    return False


def step_clock_ahead(installation: Installation, target: Target) -> bool:
    return _step_clock(installation, target, target.fault.seconds * HOUR)


def step_clock_behind(installation: Installation, target: Target) -> bool:
    return _step_clock(installation, target, -target.fault.seconds * HOUR)


def clock_ahead(installation: Installation, target: Target) -> bool:
    return _clock(installation, target, CLOCK_FACTOR * target.fault.seconds)


def clock_behind(installation: Installation, target: Target) -> bool:
    return _clock(installation, target, -CLOCK_FACTOR * target.fault.seconds)


def container_killed(installation: Installation, target: Target) -> bool:
    name = _container(installation, target)
    if name is not None:
        with suppress(DockerException):  # it has ended meanwhile
            _engine(installation).kill_container(name)
            return True
    return False


def container_out_of_memory(installation: Installation, target: Target) -> bool:
    name = _container(installation, target)
    if name is not None:
        with suppress(DockerException, KeyError):
            _engine(installation).leave_no_memory(name, LEFT_BYTES)
            return True
    return False


def engine_killed(installation: Installation, target: Target) -> bool:
    _engine(installation).kill()
    time.sleep(target.fault.seconds / 2)
    _engine(installation).start()
    return True


def engine_restarted(installation: Installation, target: Target) -> bool:
    _engine(installation).stop()
    time.sleep(target.fault.seconds / 2)
    _engine(installation).start()
    return True


def task_killed(_: Installation, target: Target) -> bool:
    return _signal(_process(target.pid), signal.SIGKILL)


def supervisor_killed(installation: Installation, target: Target) -> bool:
    return _signal(_supervisor(installation, target), signal.SIGKILL)


def supervisor_stopped(installation: Installation, target: Target) -> bool:
    """Stop supervisor and task, as a frozen machine does; Airflow may start another try."""
    found = [_supervisor(installation, target), _process(target.pid), _step(target, 0)]
    return _stop_all([each for each in found if each], STOPPED_FACTOR * target.fault.seconds)


def scheduler_killed(installation: Installation, _: Target) -> bool:
    return _kill_service(installation, "scheduler")


def triggerer_killed(installation: Installation, _: Target) -> bool:
    return _kill_service(installation, "triggerer")


def api_server_killed(installation: Installation, _: Target) -> bool:
    return _kill_service(installation, "api-server")


def dag_processor_killed(installation: Installation, _: Target) -> bool:
    return _kill_service(installation, "dag-processor")


def connections_terminated(installation: Installation, _: Target) -> bool:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
    )
    with suppress(psycopg.OperationalError):  # another fault has ended the server
        return bool(installation.rows(query, [AIRFLOW, RESULTS]))
    return False


def postgres_restarted(installation: Installation, target: Target) -> bool:
    installation.database.stop()
    time.sleep(target.fault.seconds / 2)
    start_database(installation.database)
    return True


def postgres_killed(installation: Installation, target: Target) -> bool:
    pid = installation.database.pid()
    if pid is None:
        return False
    os.kill(pid, signal.SIGKILL)
    time.sleep(target.fault.seconds / 2)
    start_database(installation.database)
    return True


def postgres_failed_over(installation: Installation, _: Target) -> bool:
    assert installation.server is not None
    proxies = (installation.proxies[name] for name in ("results", "metadata"))
    installation.server.fail_over(*proxies)
    return True


def postgres_disk_filled(installation: Installation, target: Target) -> bool:
    """A server that has given up is started when there is room again.

    During `load_postgres` it is Stage 4 that needs room; else the server is led to need it.
    """
    assert installation.server is not None
    with filled(installation.database.folder.parent):
        hit = target.fault.step == "load_postgres" or installation.server.is_refused_room()
        time.sleep(target.fault.seconds)
    start_database(installation.database)
    return hit


def results_cut(installation: Installation, _: Target) -> bool:
    return installation.proxies["results"].cut() > 0


def results_slow(installation: Installation, target: Target) -> bool:
    return _through(installation, "results", "slow", target.fault.seconds)


def results_frozen(installation: Installation, target: Target) -> bool:
    return _through(installation, "results", "frozen", 2 * target.fault.seconds)


def results_away(installation: Installation, target: Target) -> bool:
    return _through(installation, "results", "away", target.fault.seconds)


def results_silent(installation: Installation, target: Target) -> bool:
    proxy = installation.proxies["results"]
    before = proxy.troubled
    with proxy.silent():
        time.sleep(2 * target.fault.seconds)
    return proxy.troubled > before


def metadata_cut(installation: Installation, _: Target) -> bool:
    return installation.proxies["metadata"].cut() > 0


def metadata_frozen(installation: Installation, target: Target) -> bool:
    return _through(installation, "metadata", "frozen", 2 * target.fault.seconds)


def redis_killed(installation: Installation, target: Target) -> bool:
    """It loses what it held, as a cache may."""
    assert installation.redis is not None
    before = _asked_of_redis(installation)
    installation.redis.stop()
    time.sleep(target.fault.seconds)
    hit = _asked_of_redis(installation) > before
    installation.redis.start()
    return hit


def redis_stopped(installation: Installation, target: Target) -> bool:
    assert installation.redis is not None
    before = _asked_of_redis(installation)
    installation.redis.pause()
    time.sleep(target.fault.seconds)
    hit = _asked_of_redis(installation) > before
    installation.redis.resume()
    return hit


def disk_filled(installation: Installation, target: Target) -> bool:
    with filled(installation.airflow.workspace.parent):
        time.sleep(target.fault.seconds)
    return True


def stage3_unhealthy(installation: Installation, target: Target) -> bool:
    api = installation.stage3_api
    assert api is not None
    before = api.asked
    api.is_healthy = False
    time.sleep(target.fault.seconds)
    api.is_healthy = True
    return api.asked > before


def stage3_away(installation: Installation, target: Target) -> bool:
    return _through(installation, "stage3", "away", target.fault.seconds)


def stage3_slow(installation: Installation, target: Target) -> bool:
    return _through(installation, "stage3", "slow", target.fault.seconds)


def stage3_frozen(installation: Installation, target: Target) -> bool:
    return _through(installation, "stage3", "frozen", target.fault.seconds)


def files_replaced(installation: Installation, target: Target) -> bool:
    until = time.monotonic() + target.fault.seconds / 2
    while time.monotonic() < until:
        installation.stage3.write(target.fault.level)
        time.sleep(0.05)
    return True


def files_half_written(installation: Installation, target: Target) -> bool:
    installation.stage3.write_in_place(target.fault.level, target.fault.seconds / 2)
    return True


def hook_failing(installation: Installation, target: Target) -> bool:
    return _answering(installation, HTTPStatus.INTERNAL_SERVER_ERROR, target.fault.seconds)


def hook_redirecting(installation: Installation, target: Target) -> bool:
    return _answering(installation, HTTPStatus.FOUND, target.fault.seconds)


def hook_hanging(installation: Installation, target: Target) -> bool:
    return _through(installation, "hook", "frozen", target.fault.seconds)


def hook_away(installation: Installation, target: Target) -> bool:
    return _through(installation, "hook", "away", target.fault.seconds)


def stage5_failing(installation: Installation, target: Target) -> bool:
    answers = installation.airflow.stage5.answers
    answers.extend([HTTPStatus.INTERNAL_SERVER_ERROR] * 8)
    time.sleep(2 * target.fault.seconds)
    hit = len(answers) < 8
    answers.clear()
    return hit


# One fault at a time of what has one state: the other would end what this one has to begin again.
_ALONE = {
    name: threading.Lock()
    for name in (
        *("engine", "postgres", "redis", "disk", "hook", "stage3", "stage5", "clock"),
        "step_clock",
    )
}


def strike(installation: Installation, target: Target) -> bool:
    """Do a fault when its turn has come; returns whether there was anything to hit.

    Nothing is done if the task is over by then.
    """
    kind = target.fault.kind
    turns = (turn for name, turn in _ALONE.items() if kind.startswith(f"{name}_"))
    with next(turns, nullcontext()):
        return target.is_at_work() and STRIKES[kind](installation, target)


STRIKES: dict[str, Strike] = {kind.name: globals()[kind.name] for kind in KINDS}


def possible(installation: Installation) -> list[str]:
    """The kinds that an installation can have; without proxies and an own disk they are fewer."""
    lacking = {
        name
        for name in STRIKES
        for needed, there in (
            ("results_", "results" in installation.proxies),
            ("metadata_", "metadata" in installation.proxies),
            ("stage3_", installation.stage3_api is not None),
            ("hook_", installation.hook is not None),
            ("redis_", installation.redis is not None),
            ("disk_", installation.is_small),
            ("postgres_disk_filled", installation.is_small),
            ("postgres_failed_over", installation.server is not None),
            ("clock_", "services" in installation.clocks),
            ("step_clock_", "steps" in installation.clocks),
            ("results_silent", can_be_silent()),
            ("container_", installation.engine is not None),
            ("engine_", installation.engine is not None),
            ("step_", installation.engine is None),
        )
        if name.startswith(needed) and not there
    }
    return [name for name in STRIKES if name not in lacking]


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no byte on a folder's disk, until the block ends."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):  # that is what is wanted
        while True:
            file.write(bytes(1 << 20))
    try:
        yield
    finally:
        filler.unlink()


def _engine(installation: Installation) -> Engine:
    assert installation.engine is not None
    return installation.engine


def _container(installation: Installation, target: Target) -> str | None:
    """The container of the target's task, once it is there."""
    until = time.monotonic() + FIND_SECONDS
    labels = {"dag_id": DAGS[target.fault.level], "task_id": target.fault.step}
    while time.monotonic() < until:
        with suppress(DockerException, RequestException):  # the engine is away
            for each in _engine(installation).containers(**labels):
                if each["State"] == "running":
                    return str(each["Id"])
        time.sleep(0.1)
    return None


def _answering(installation: Installation, status: HTTPStatus, seconds: float) -> bool:
    hook = installation.hook
    assert hook is not None
    before = len(hook.refused)
    hook.headers = {"Location": "http://127.0.0.1:9/"} if status == HTTPStatus.FOUND else {}
    hook.status = status
    _last(seconds, lambda: len(hook.refused) > before)
    hook.status, hook.headers = HTTPStatus.NO_CONTENT, {}
    return len(hook.refused) > before


def _through(installation: Installation, name: str, mode: Mode, seconds: float) -> bool:
    """Whether anybody had a connection, or wanted one."""
    proxy = installation.proxies[name]
    before = proxy.troubled
    with proxy.being(mode):
        _last(seconds, lambda: name != "hook" or proxy.troubled > before)
    return proxy.troubled > before


def _last(seconds: float, has_hit: Callable[[], bool]) -> None:
    """Let something last: events come now and then, and a receiver is away until one has come."""
    time.sleep(seconds)
    until = time.monotonic() + EVENT_SECONDS
    while not has_hit() and time.monotonic() < until:
        time.sleep(0.2)


def _asked_of_redis(installation: Installation) -> int:
    """How much has been passed to Redis, and how many connections were made, or wanted."""
    proxy = installation.proxies["redis"]
    return proxy.passed + proxy.pieces + proxy.troubled


def _step_clock(installation: Installation, target: Target, offset: float) -> bool:
    if _step(target) is None:
        return False
    installation.clocks["steps"].jump(offset, target.fault.seconds)
    return True


def _clock(installation: Installation, target: Target, offset: float) -> bool:
    installation.clocks["services"].jump(offset, 2 * target.fault.seconds)
    return True


def start_database(database: Postgres) -> None:
    """Start PostgreSQL, until it answers.

    Behind a killed one it starts when the last of its processes has ended. One whose disk is full
    may stand still (seen with 18.4: its start-up process had ended, and it waited on): that one is
    ended first, as by whoever looks after a server.
    """
    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((LocalError, psycopg.OperationalError)),
        stop=tenacity.stop_after_delay(180),
        wait=tenacity.wait_fixed(1),
        reraise=True,
    ):
        with attempt:
            database.start()
            _end_if_dumb(database)


def _end_if_dumb(database: Postgres) -> None:
    """End a server that takes no connection, for as long as it may recover.

    Raises:
        psycopg.OperationalError: it is ended.
    """
    until = time.monotonic() + DUMB_SECONDS
    while True:
        try:
            psycopg.connect(database.url(AIRFLOW), connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                end_server(database)
                raise
            time.sleep(0.5)
        else:
            return


def _kill_service(installation: Installation, name: str) -> bool:
    return _signal(installation.stack.supervisor.service(name), signal.SIGKILL)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _step(target: Target, patience: float = FIND_SECONDS) -> psutil.Process | None:
    """The step's process below its task, once it is there."""
    task, until = _process(target.pid), time.monotonic() + patience
    while task is not None and task.is_running():
        with suppress(psutil.NoSuchProcess):
            for child in task.children():
                if "clustering_tasks" in child.cmdline():
                    return child
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return None


def _supervisor(installation: Installation, target: Target) -> psutil.Process | None:
    """The task's parent, which is Airflow's supervisor of it, and never the scheduler."""
    task = _process(target.pid)
    with suppress(psutil.NoSuchProcess):
        parent = task.parent() if task is not None else None
        scheduler = installation.stack.supervisor.service("scheduler")
        if parent is not None and parent.pid > 1 and parent != scheduler:
            return parent
    return None


def _signal(process: psutil.Process | None, number: signal.Signals) -> bool:
    if process is None:
        return False
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def _stop(process: psutil.Process | None, seconds: float) -> bool:
    return _stop_all([process] if process else [], seconds)


def _stop_all(processes: list[psutil.Process], seconds: float) -> bool:
    hit = [each for each in processes if _signal(each, signal.SIGSTOP)]
    if hit:
        time.sleep(seconds)
    for each in hit:
        _signal(each, signal.SIGCONT)
    return bool(hit)
