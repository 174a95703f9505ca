"""Processes that share work, real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from clustering_tasks.engine.processes import work_processes
from clustering_tasks.errors import TransientError


def process_of(item: int) -> tuple[int, int]:
    return item, os.getpid()


def end_by(number: int, item: int) -> int:
    os.kill(os.getpid(), number)
    return item


def divided(item: int) -> float:
    return 1 / item


def has_pandas(_item: int) -> bool:
    pa.array([1, None])  # pyarrow looks for it
    return "pandas" in sys.modules


def stay(folder: Path, item: str) -> str:
    (folder / str(os.getpid())).write_text(item)
    while item == "stay" or "stay" not in {file.read_text() for file in folder.iterdir()}:
        time.sleep(0.05)
    return item


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    with work_processes(count) as each:
        found = list(each(process_of, iter(range(40))))
        assert list(each(partial(pow, 2), [3, 4])) == [8, 16]  # other work, the same processes
    assert [item for item, _ in found] == list(range(40))
    processes = {process for _, process in found}
    assert len(processes) <= count
    assert (os.getpid() in processes) == (count == 1)


def test_no_process_is_left() -> None:
    with work_processes(2) as each:
        processes = {process for _, process in each(process_of, range(20))}
    for process in processes:
        assert not Path(f"/proc/{process}").exists()


def test_a_caller_that_gives_up_ends_them_at_their_work(tmp_path: Path) -> None:
    with suppress(KeyError), work_processes(2) as each:
        for _ in each(partial(stay, tmp_path), ["go", "stay", "stay"]):
            raise KeyError
    processes = [int(file.name) for file in tmp_path.iterdir()]
    assert len(processes) == 2
    assert not any(map(_runs, processes))


def test_a_process_that_is_killed_is_reported() -> None:
    with (
        work_processes(2) as each,
        pytest.raises(TransientError, match=r"ended by SIGKILL.*OMP_NUM_THREADS=1"),
    ):
        list(each(partial(end_by, signal.SIGKILL), range(5)))


def test_a_process_that_fails_is_reported_and_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    with work_processes(2) as each, pytest.raises(RuntimeError, match="failed with code 1"):
        list(each(divided, [2, 1, 0, 4]))
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_they_do_without_pandas() -> None:
    with work_processes(2) as each:
        assert list(each(has_pandas, [1, 2])) == [False, False]
    assert has_pandas(1)


def test_they_end_when_their_caller_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(
        "import os, signal\n"
        "from clustering_tasks.engine.processes import work_processes\n"
        "from tests.unit.engine.test_processes import process_of\n"
        "with work_processes(2) as each:\n"
        "    print(*{process for _, process in each(process_of, range(20))}, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    processes = list(map(int, done.stdout.split()))
    assert processes
    _wait_until(lambda: not any(map(_runs, processes)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_end_at_their_work_when_their_caller_is_ended(tmp_path: Path, number: int) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    script = tmp_path / "caller.py"
    script.write_text(
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from clustering_tasks.engine.processes import work_processes\n"
        "from tests.unit.engine.test_processes import stay\n"
        "with work_processes(2) as each:\n"
        f"    list(each(partial(stay, Path({str(marks)!r})), ['stay', 'stay']))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as caller:
        _wait_until(lambda: len(list(marks.iterdir())) == 2)
        caller.send_signal(number)
    processes = [int(file.name) for file in marks.iterdir()]
    _wait_until(lambda: not any(map(_runs, processes)))


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for is a zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
