"""The Docker runner against a real engine; an image of a few lines imitates the steps."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRuntimeError,
    ErrorType,
)
from airflow.sdk.execution_time.comms import ErrorResponse
from docker import APIClient
from structlog.testing import capture_logs

from clustering_tasks.settings.deployment import deployment
from stage4.runners.docker import DockerStepOperator

pytest_plugins = ["tests.integration.docker_fixtures"]
pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("nothing_left")]

SUPERVISOR_PATIENCE = 5
OWN_USER = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture
def installation(
    tmp_path: Path, step_image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Set deployment settings for this test; called again, it changes some of them."""
    for name in [name for name in os.environ if name.startswith("STAGE4_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # away from the checkout's .env
    indices = tmp_path / "indices"
    indices.mkdir()
    indices.joinpath("a.index").touch()

    def configure(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"STAGE4_{name.upper()}", value)
        deployment.cache_clear()

    configure(
        runner="docker",
        image=step_image,
        container_user=OWN_USER,
        workspace=str(tmp_path / "workspace"),
        indices=str(indices),
    )
    yield configure
    monkeypatch.undo()
    deployment.cache_clear()


def operator(act: str, step: str = "merge", **arguments: Any) -> DockerStepOperator:
    return DockerStepOperator(
        task_id=step, step=step, level="events", options={"act": act}, **arguments
    )


def context(
    try_number: int = 1,
    run_id: str = "manual__2026-01-02",
    states: Callable[..., Any] = lambda **_: {},
) -> Any:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    dag_run = SimpleNamespace(
        dag_id="cluster_events", run_id=run_id, data_interval_end=moment, run_after=moment
    )
    ti = SimpleNamespace(
        dag_id="cluster_events",
        run_id=run_id,
        task_id="merge",
        map_index=-1,
        try_number=try_number,
        id=f"ti-{try_number}",
        get_task_states=states,
    )
    return {"ti": ti, "dag_run": dag_run, "run_id": run_id}


def run(act: str, step: str = "merge", **arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = operator(act, step, **arguments).execute(context())
    return result


def test_a_step_may_do_its_work_and_no_more(installation: Callable[..., None]) -> None:
    assert run("report")["metrics"] == {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "capabilities": 0,
        "no_new_privileges": "1",
        "writes_root": False,
        "writes_tmp": True,
        "writes_kernels": True,
        "kernels_are_warm": True,
        "sees_indices": False,
        "writes_indices": False,
        "network": ["lo"],
        "threads": None,
        "secrets": [],
    }


def test_snapshot_sees_the_indices_but_cannot_write_them(installation: Callable[..., None]) -> None:
    metrics = run("report", step="snapshot")["metrics"]
    assert metrics["sees_indices"]
    assert not metrics["writes_indices"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another user")
def test_a_new_workspace_belongs_to_the_containers_user(
    installation: Callable[..., None], tmp_path: Path
) -> None:
    installation(container_user="1000:1000", workspace=str(tmp_path / "new" / "workspace"))
    assert run("report")["metrics"]["uid"] == 1000
    assert tmp_path.joinpath("new/workspace").stat().st_uid == 1000


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of another user")
def test_a_workspace_of_another_user_is_named(
    installation: Callable[..., None], tmp_path: Path
) -> None:
    tmp_path.joinpath("workspace").mkdir()
    installation(container_user="1000:1000")
    with capture_logs() as logs, pytest.raises(AirflowException, match="exit code 1"):
        run("report")
    assert any("set STAGE4_CONTAINER_USER=0:0" in entry["event"] for entry in logs)


def test_host_paths_are_what_the_engine_mounts(
    installation: Callable[..., None], tmp_path: Path
) -> None:
    """The worker of a compose set-up sees the workspace where the host does not have it."""
    seen_by_worker, on_host = tmp_path / "workspace", tmp_path / "host"
    on_host.mkdir()
    seen_by_worker.symlink_to(on_host)
    installation(workspace=str(seen_by_worker), host_workspace=str(on_host))
    assert run("report")["metrics"]["uid"] == os.getuid()
    assert list(on_host.glob("events/runs/*/merge.json"))


def test_limits_reach_the_engine(installation: Callable[..., None], engine: APIClient) -> None:
    installation(cpus="0.5", memory_limit="64m", docker_network="bridge")
    assert run("report")["metrics"]["threads"] == "1"
    step = operator("report")
    step._identify(context(), deployment())
    config = engine.inspect_container(step._create([]))["HostConfig"]
    step._remove()
    assert config["NanoCpus"] == 500_000_000
    assert config["Memory"] == config["MemorySwap"] == 64 << 20
    assert config["NetworkMode"] == "bridge"


def test_only_cluster_asks_for_gpus(installation: Callable[..., None]) -> None:
    installation(gpu="true")
    assert operator("report", step="plan").device_requests is None
    requests = operator("report", step="cluster").device_requests
    assert requests is not None
    (request,) = requests
    assert request["Count"] == -1
    assert request["Capabilities"] == [["gpu"]]


def test_output_becomes_log_entries(installation: Callable[..., None]) -> None:
    with capture_logs() as logs:
        run("report")
    entries = [(entry["log_level"], entry["event"]) for entry in logs]
    assert ("info", "a step begins") in entries
    assert ("info", "a library's print") in entries
    warning = next(entry for entry in logs if entry["event"] == "ünïcode")
    assert warning["log_level"] == "warning"
    assert warning["rows"] == 3


def test_a_broken_stream_loses_and_repeats_nothing(
    installation: Callable[..., None], impatient_port: int
) -> None:
    installation(docker_url=f"tcp://127.0.0.1:{impatient_port}")
    with capture_logs() as logs:
        assert run("talkative")["step"] == "merge"
    lines = [entry["event"] for entry in logs if entry["event"].startswith("line ")]
    assert lines == [f"line {number}" for number in range(15)]
    assert any("broke off" in entry["event"] for entry in logs)


def test_bad_input_is_fatal(installation: Callable[..., None]) -> None:
    with pytest.raises(AirflowFailException, match=r"exit code 65.*file=events\.index"):
        run("bad_input")


def test_a_transient_failure_is_retried(installation: Callable[..., None]) -> None:
    with pytest.raises(AirflowException, match="the connection was reset") as caught:
        run("transient")
    assert not isinstance(caught.value, AirflowFailException)


def test_success_without_a_result_is_a_failure(installation: Callable[..., None]) -> None:
    with pytest.raises(AirflowException, match=r"left no .*merge\.json"):
        run("no_result")


def test_too_little_memory_is_fatal_and_names_the_limit(installation: Callable[..., None]) -> None:
    installation(memory_limit="64m")
    with pytest.raises(AirflowFailException, match="STAGE4_MEMORY_LIMIT=64m"):
        run("hungry")


def start_another_try(engine: APIClient, number: int) -> DockerStepOperator:
    """Leave a container running, as a task does that was killed with SIGKILL."""
    other = operator("deaf")
    other._identify(context(number), deployment())
    other.command = ["merge", "--act", "deaf"]
    engine.start(other._create([]))
    return other


def test_a_dead_try_s_container_makes_way(
    installation: Callable[..., None], engine: APIClient
) -> None:
    dead = start_another_try(engine, 1)
    assert operator("report").execute(context(try_number=2))["step"] == "merge"
    assert not engine.containers(all=True, filters={"id": dead.container["Id"]})


def test_a_lost_try_ends_and_spares_the_next_one_s_container(
    installation: Callable[..., None], engine: APIClient
) -> None:
    """A task whose supervisor died runs on, and its next try takes the container's name."""
    lost = operator("deaf")
    following: list[DockerStepOperator] = []

    def next_try() -> None:
        engine.remove_container(lost.container_name, force=True, v=True)
        following.append(start_another_try(engine, 2))

    with (
        amid(engine, lost, next_try),
        pytest.raises(AirflowException, match="somebody removed its"),
    ):
        lost.execute(context())
    (spared,) = following
    assert engine.inspect_container(spared.container["Id"])["State"]["Running"]
    spared._remove()


def test_a_step_removes_the_containers_that_no_try_comes_back_for(
    installation: Callable[..., None], engine: APIClient, tmp_path: Path
) -> None:
    """Of a host that was lost for good, of a failed run; not of tasks at work, nor of others."""
    over, at_work = (start_container(engine, run_id) for run_id in ("over", "at work"))
    installation(workspace=str(tmp_path / "another"))
    of_another = start_container(engine, "of another")
    installation(workspace=str(tmp_path / "workspace"))
    gone = start_container(engine, "deleted in Airflow")
    states = {"over": {"merge": "failed"}, "at work": {"merge": "running"}}

    def ask(*, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        assert dag_id == "cluster_events"
        return {run_id: states[run_id] for run_id in run_ids if run_id in states}

    assert operator("report").execute(context(states=ask))["step"] == "merge"
    left = {each["Id"] for each in engine.containers(all=True)}
    assert left.isdisjoint({over, gone})
    assert left >= {at_work, of_another}
    for container in (at_work, of_another):
        engine.remove_container(container, force=True, v=True)


def test_a_step_does_its_work_where_airflow_does_not_say_what_is_over(
    installation: Callable[..., None], engine: APIClient
) -> None:
    left = start_container(engine, "over")

    def ask(**_: Any) -> Any:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    assert operator("report").execute(context(states=ask))["step"] == "merge"
    engine.remove_container(left, force=True, v=True)


def start_container(engine: APIClient, run_id: str) -> str:
    """Leave a container of another run's task running."""
    other = operator("deaf")
    other._identify(context(run_id=run_id), deployment())
    other.command = ["merge", "--act", "deaf"]
    engine.start(made := other._create([]))
    return made


@pytest.mark.parametrize("act", ["deaf", "content"])
def test_a_killed_step_fails_and_leaves_nothing(
    installation: Callable[..., None], engine: APIClient, act: str
) -> None:
    """`content` ends with 0 on SIGTERM and has written a result: it must not count."""
    step = operator(act)
    killed: list[float] = []

    def kill() -> None:
        started = time.monotonic()
        step.on_kill()
        assert not engine.containers(all=True, filters={"name": step.container_name})
        killed.append(time.monotonic() - started)

    with amid(engine, step, kill), pytest.raises(AirflowException, match="was killed"):
        step.execute(context())
    assert killed[0] < SUPERVISOR_PATIENCE - 1


def test_a_task_killed_before_its_container_starts_none(
    installation: Callable[..., None], engine: APIClient
) -> None:
    step = operator("report")
    step.on_kill()
    with pytest.raises(AirflowException, match="was killed"):
        step.execute(context())


def test_no_engine_is_transient_and_says_what_to_do(installation: Callable[..., None]) -> None:
    installation(docker_url="unix:///nonexistent/docker.sock")
    with pytest.raises(AirflowException, match=r"no Docker engine answers.*STAGE4_RUNNER=process"):
        run("report")


def test_a_missing_image_names_the_way_out(installation: Callable[..., None]) -> None:
    installation(image="stage4-no-such-image:none")
    with pytest.raises(AirflowException, match="make images"):
        run("report")


def test_a_missing_folder_is_fatal(installation: Callable[..., None], tmp_path: Path) -> None:
    installation(indices=str(tmp_path / "nowhere"))
    with pytest.raises(AirflowFailException, match="must exist on the Docker host"):
        run("report", step="snapshot")


def test_installations_do_not_meet(installation: Callable[..., None], tmp_path: Path) -> None:
    """Two Airflows on one engine have the same DAGs and, by schedule, the same run ids."""
    names = set()
    for workspace in ("one", "two"):
        installation(workspace=str(tmp_path / workspace))
        step = operator("report")
        step._identify(context(), deployment())
        names.add(step.container_name)
    assert len(names) == 2


@contextmanager
def amid(engine: APIClient, step: DockerStepOperator, act: Callable[[], object]) -> Iterator[None]:
    """Do something while a container has been at work for 2 s, in a signal handler as `on_kill`."""

    def look(*_: object) -> None:
        name = step.container_name
        if name and engine.containers(filters={"name": name, "status": "running"}):
            signal.signal(signal.SIGALRM, lambda *_: act())
            signal.setitimer(signal.ITIMER_REAL, 2)
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
