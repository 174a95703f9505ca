"""A local PostgreSQL that stands still: its process is there, and no connection is to be had."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from local import postgres
from local.errors import LocalError
from local.postgres import Postgres
from local.stack import Stack
from local.state import State


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: as root the server runs as another user, to whom pytest's folders are closed.
    made = Path(tempfile.mkdtemp(prefix="stage4-tests-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """A server with a row in it, and little patience."""
    monkeypatch.setattr(postgres, "STANDS_SECONDS", 1)
    monkeypatch.setattr(postgres, "ASK_SECONDS", 1)
    server = Postgres(folder / "state" / "postgres")
    assert server.start()
    with connected(server) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (42)")
        # Commits are written after a moment here; what is killed before has lost them.
        connection.execute("CHECKPOINT")
    yield server
    server.stop()


def connected(server: Postgres) -> psycopg.Connection:
    return psycopg.connect(
        host=str(server.socket), user="postgres", dbname="postgres", autocommit=True
    )


def assert_well(server: Postgres) -> None:
    with connected(server) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(42,)]


def pid_of(server: Postgres) -> int:
    found = server.pid()
    assert found is not None
    return found


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process do nothing, whatever it is told, short of being killed."""
    over = threading.Event()

    def freeze() -> None:
        with suppress(ProcessLookupError):
            while not over.wait(0.002):
                os.kill(pid, signal.SIGSTOP)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_one_that_runs_is_left_alone(server: Postgres) -> None:
    said: list[str] = []
    before = server.pid()
    assert not server.start(said.append)
    assert (server.pid(), said) == (before, [])


def test_one_that_a_signal_has_stopped_goes_on(server: Postgres) -> None:
    said: list[str] = []
    with connected(server) as connection:
        before = pid_of(server)
        os.kill(before, signal.SIGSTOP)
        assert not server.answers()
        assert not server.start(said.append)
        assert server.pid() == before
        connection.execute("SELECT 1")  # no session was lost
    assert [f"process {before} had been stopped" in each for each in said] == [True]
    assert_well(server)


def lose_socket(server: Postgres) -> None:
    """As what clears /tmp of old files does."""
    (server.socket / ".s.PGSQL.5432").unlink()


@pytest.mark.parametrize("how", ["without its socket", "frozen"])
def test_one_that_takes_no_connection_is_ended_and_started_again(
    server: Postgres, how: str
) -> None:
    said: list[str] = []
    before = pid_of(server)
    if how == "frozen":
        with frozen(before):
            assert not server.start(said.append)
    else:
        lose_socket(server)
        assert not server.start(said.append)
    assert server.pid() not in (None, before)
    assert said == [f"PostgreSQL: process {before} takes no connection: ending it"]
    assert_well(server)


def test_one_that_recovers_is_waited_for(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses connections meanwhile, for longer than one that stands still is waited for."""
    answers = iter([postgres.REFUSES] * 10)
    ask: Callable[[Postgres], int] = Postgres._asked
    monkeypatch.setattr(Postgres, "_asked", lambda self: next(answers, None) or ask(self))
    before = server.pid()
    assert not server.start(pytest.fail)
    assert server.pid() == before


def test_the_end_of_one_that_stands_still(server: Postgres) -> None:
    before = pid_of(server)
    with frozen(before):
        server.stop(1)
    assert server.pid() is None
    assert server.start() is False
    assert_well(server)


@pytest.mark.parametrize("left", ["", "\n", "many\n"])
def test_a_lock_that_a_power_cut_has_left_empty_keeps_nothing_from_starting(
    server: Postgres, left: str
) -> None:
    server.stop()
    (server.data / "postmaster.pid").write_text(left)
    assert server.start() is False
    assert_well(server)


def test_a_command_that_needs_the_database_says_that_it_stands_still(
    server: Postgres, folder: Path
) -> None:
    stack = Stack(State.open(folder / "state"))
    vars(stack)["database"] = server  # root's lies elsewhere
    with stack.database_up():
        assert_well(server)
    lose_socket(server)
    with (
        pytest.raises(LocalError, match="takes no connection: `make up` starts it"),
        stack.database_up(),
    ):
        pytest.fail("it does not answer")
