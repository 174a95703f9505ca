"""The parts of `local` that need no Airflow."""

import os
import subprocess
import sys
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest

from local.__main__ import execute, stage3_folder
from local.airflow_api import Json, log_lines
from local.configuration import MARKER, Options, environment
from local.errors import LocalError
from local.health import dag_files
from local.ports import claimed_port, free_port, listens
from local.postgres import MAX_SOCKET_PATH, Postgres
from local.progress import cells_of
from local.results import check
from local.stack import Stack
from local.stage5_receiver import listening
from local.state import REPO, State, write_private


def test_setup_refuses_an_unfit_python_and_touches_nothing() -> None:
    before = (REPO / ".venv").stat().st_mtime_ns
    done = subprocess.run(
        ["sh", "local/setup.sh"],
        cwd=REPO,
        env=os.environ | {"PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: PYTHON=/bin/false is not a Python from 3.11 to 3.13\n"
    assert (REPO / ".venv").stat().st_mtime_ns == before


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    state.secrets()
    (state.root / "secrets.json").chmod(0o644)
    with pytest.raises(LocalError, match="chmod 600"):
        state.secrets()


def test_a_secret_that_an_older_state_lacks_is_added_once(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    path = state.root / "secrets.json"
    before = asdict(state.secrets())
    kept = {name: value for name, value in before.items() if name != "deletion_secret"}
    write_private(path, kept)
    found = asdict(state.secrets())
    assert {name: found[name] for name in kept} == kept
    assert len(found["deletion_secret"]) >= 32
    assert asdict(state.secrets()) == found
    assert path.stat().st_mode & 0o777 == 0o600


def test_documents_can_be_deleted_without_a_secret_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STAGE4_DELETION_SECRET", raising=False)
    state, options = State.open(tmp_path / "state"), Options(folder=tmp_path)
    made = environment(state, Postgres(state.postgres), options)["STAGE4_DELETION_SECRET"]
    assert made == state.secrets().deletion_secret
    assert environment(state, Postgres(state.postgres), options)["STAGE4_DELETION_SECRET"] == made
    (tmp_path / ".env").write_text("STAGE4_DELETION_SECRET=one that the user has kept\n")
    found = environment(state, Postgres(state.postgres), options)
    assert found["STAGE4_DELETION_SECRET"] == "one that the user has kept"


def test_socket_path_fits_wherever_the_state_is(tmp_path: Path) -> None:
    short, long = Path("/var/tmp/stage4/postgres"), tmp_path / ("d" * 100)  # noqa: S108
    assert Postgres(short).socket == short
    socket = Postgres(long).socket
    assert len(bytes(socket / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH
    assert socket == Postgres(long).socket
    assert socket != Postgres(long / "other").socket


def test_environment_takes_settings_but_no_other_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("STAGE4_INDICES=/from/file\nSTAGE4_OUTPUT=/from/file\n")
    monkeypatch.setenv("STAGE4_OUTPUT", "/from/shell")
    monkeypatch.delenv("STAGE4_WORKSPACE", raising=False)  # other tests have one for a session
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/another/airflow")
    monkeypatch.setenv("AIRFLOW_HOME", "/another/airflow")
    monkeypatch.setenv("no_proxy", "example.org")
    state = State.open(tmp_path / "state")

    found = environment(state, Postgres(state.postgres), Options(folder=tmp_path))

    assert found["STAGE4_INDICES"] == "/from/file"
    assert found["STAGE4_OUTPUT"] == "/from/shell"
    assert found["STAGE4_WORKSPACE"] == str(state.workspace)
    assert found["AIRFLOW_HOME"] == str(state.airflow_home)
    assert "AIRFLOW__CORE__DAGS_FOLDER" not in found
    assert found["no_proxy"] == found["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert found[MARKER] == str(state.root)


def test_the_demos_environment_has_nothing_of_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("STAGE4_STAGE5_CONN_ID=real\n")
    monkeypatch.setenv("STAGE4_OUTPUT", "/data/output")
    monkeypatch.setenv("STAGE4_POSTGRES_CONN_ID", "theirs")
    monkeypatch.setenv("AIRFLOW_CONN_THEIRS", "postgres://db/theirs")
    main = State.open(tmp_path / "state")
    state, options = main.demo, Options(folder=tmp_path, isolated=True)

    found = environment(state, Postgres(state.postgres), options)

    ours = {name: value for name, value in found.items() if name.startswith("STAGE4_")}
    assert not {"STAGE4_POSTGRES_CONN_ID", "STAGE4_STAGE5_CONN_ID"} & ours.keys()
    assert "AIRFLOW_CONN_THEIRS" not in found
    assert ours["STAGE4_OUTPUT"] == str(main.root / "demo" / "output")
    assert ours["STAGE4_WORKSPACE"] == str(main.root / "demo" / "workspace")
    assert ours["STAGE4_ENV_FILE"] == os.devnull
    assert state.postgres != main.postgres
    assert state.secrets() != main.secrets()


def test_up_says_where_stage3_is_read_and_what_to_do_where_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State.open(tmp_path / "state")
    stack = Stack(state, Options(folder=tmp_path))
    assert f"`STAGE4_STATE={state.root} make demo`" in stage3_folder(stack)
    assert f"{state.sample} does not exist" in stage3_folder(stack)
    monkeypatch.setenv("STAGE4_INDICES", str(tmp_path / "typo"))
    told = stage3_folder(stack)
    assert told.startswith(f"{tmp_path / 'typo'} does not exist")
    assert "set STAGE4_INDICES" in told
    assert "make demo" not in told
    monkeypatch.setenv("STAGE4_INDICES", str(tmp_path))
    assert stage3_folder(stack) == str(tmp_path)
    monkeypatch.setenv("STAGE4_INDICES", "s3://news/stage3")
    assert stage3_folder(stack) == "s3://news/stage3"


def test_port_is_the_preferred_one_unless_it_is_taken() -> None:
    with listening("token") as other:
        taken = other.server_port
        assert free_port(taken) is None
        assert listens(psutil.Process(), taken)
        with claimed_port(taken) as (port, _):
            assert port != taken
            assert not listens(psutil.Process(), port)
    with claimed_port(taken) as (port, _):
        assert port == taken


def test_port_is_claimed_as_long_as_a_process_has_the_claim() -> None:
    with claimed_port(0) as (port, claim):
        owner = psutil.Popen(["sleep", "60"], stdin=claim)
    try:
        with claimed_port(port) as (another, _):
            assert another != port
    finally:
        owner.kill()
        owner.wait()
    with claimed_port(port) as (again, _):
        assert again == port


def test_supervisor_takes_orders_at_a_path_that_is_short_enough(tmp_path: Path) -> None:
    with TemporaryDirectory() as short:
        state = State.open(Path(short) / "a")
        assert state.sockets == state.run
    long = State.open(tmp_path / ("b" * 80))
    assert len(bytes(long.sockets)) < 60
    assert long.sockets != State.open(tmp_path / ("c" * 80)).sockets


def test_dag_files_are_those_that_airflow_reads(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from airflow.sdk import DAG")
    (tmp_path / "b.py").write_text("# neither word")
    assert dag_files(tmp_path) == {"a.py"}


def test_progress_counts_mapped_tasks_and_shows_the_worst_state() -> None:
    states = ["success", "running", "success", None]
    tasks: list[Json] = [
        {"dag_id": "cluster_events", "task_id": "cluster", "state": state} for state in states
    ]
    tasks += [
        {"dag_id": "cluster_events", "task_id": "all_parts", "state": "success"},
        {"dag_id": "cluster_all", "task_id": "cluster_events", "state": "running"},
        {"dag_id": "cluster_documents", "task_id": "cluster", "state": "success"},
        {"dag_id": "cluster_documents", "task_id": "cluster", "state": "failed"},
    ]
    assert cells_of(tasks) == {
        ("events", "cluster"): "[cyan]2/4[/]",
        ("documents", "cluster"): "[red]1/2, failed[/]",
    }


def test_log_is_told_with_its_errors() -> None:
    content: list[Json | str] = [
        "plain",
        {"timestamp": "2026-11-20T11:40:02.047310Z", "level": "info", "event": "::group::Pre"},
        {
            "timestamp": "2026-11-20T11:40:02.047310Z",
            "level": "error",
            "event": "Task failed",
            "error_detail": [{"exc_type": "ValueError", "exc_value": "bad"}],
        },
        {"level": "error", "event": "from a step", "error_detail": "Traceback\n  line 1"},
    ]
    assert list(log_lines(content)) == [
        "plain",
        "11:40:02 error    Task failed",
        "ValueError: bad",
        "error    from a step",
        "Traceback",
        "  line 1",
    ]


@pytest.mark.parametrize(
    ("run", "clusters", "message"),
    [
        ({"job_id": "old", "clusters": 2}, 2, "shows run old, and not new"),
        ({"job_id": "new", "clusters": 2}, 3, "counts 2 clusters, the database has 3, .* 2 lines"),
        ({"job_id": "new", "clusters": 3}, 3, "counts 3 clusters, the database has 3, .* 2 lines"),
    ],
)
def test_results_that_disagree_are_refused(
    tmp_path: Path, run: dict[str, object], clusters: int, message: str
) -> None:
    jsonl = tmp_path / "clusters.jsonl"
    jsonl.write_text("{}\n{}\n")
    published = {"job_id": "new", "clusters_jsonl": str(jsonl)}
    check({"level": "events", "job_id": "new", "clusters": 2}, 2, published)
    with pytest.raises(LocalError, match=message):
        check({"level": "events"} | run, clusters, published)


def test_stage5_receiver_takes_events_from_whoever_has_the_token() -> None:
    good = {"Authorization": "Bearer secret"}
    with listening("secret") as stage5, httpx.Client(trust_env=False) as client:
        assert client.post(stage5.url, json={"n": 1}, headers=good).status_code == 204
        assert client.post(stage5.url, json={"n": 2}).status_code == 401
        assert client.post(f"{stage5.url}/x", json={"n": 3}, headers=good).status_code == 404
        assert client.post(stage5.url, content=b"{", headers=good).status_code == 400
        stage5.answers.append(HTTPStatus.SERVICE_UNAVAILABLE)
        assert client.post(stage5.url, json={"n": 4}, headers=good).status_code == 503
        assert client.post(stage5.url, json={"n": 5}, headers=good).status_code == 204
    assert stage5.received == [{"n": 1}, {"n": 5}]
    assert stage5.refused == 1


CONNECTING = (
    "import json, os, psycopg, stage4.database;"
    "it = json.loads(os.environ['AIRFLOW_CONN_STAGE4_POSTGRES']);"
    "psycopg.connect(host=it['host'], user=it['login'], dbname=it['schema'])"
)


def test_a_command_gets_the_settings_and_the_database_of_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_STATE", str(tmp_path / "state"))
    stack = Stack(State.open())
    with pytest.raises(LocalError, match="never been started"):
        execute([sys.executable, "-c", CONNECTING])
    try:
        stack.database.start()
        assert execute([sys.executable, "-c", CONNECTING]) == 0
        assert stack.database.pid() is not None
        stack.database.stop()
        assert execute([sys.executable, "-c", f"{CONNECTING}; raise SystemExit(3)"]) == 3
        assert stack.database.pid() is None
        with pytest.raises(LocalError, match="no-such-program cannot be run"):
            execute(["no-such-program"])
    finally:
        stack.clean()
