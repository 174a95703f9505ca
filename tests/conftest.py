"""What every kind of test uses: a Stage 3 folder, a workbench, the command line in this process."""

import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from upath import UPath

from clustering_tasks import cli as command_line
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace.artefacts import Run
from tests.contract import check_jsonl
from tests.isolation import isolate, own_airflow_home
from tests.shares import (  # noqa: F401 - pytest finds its hooks here
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
    pytest_xdist_setupnodes,
)
from tests.stage3_folder import SMALL, Stage3Folder

isolate()
own_airflow_home()

# A loaded machine is no failure.
hypothesis.settings.register_profile("stage4", deadline=None, print_blob=True)
hypothesis.settings.load_profile("stage4")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The last line of standard output."""
        read: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return read

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.splitlines()]

    @property
    def error(self) -> str:
        """The one message that a failure logs."""
        (message,) = [entry["event"] for entry in self.logs if entry["level"] == "error"]
        return str(message)


class CommandLine:
    """`python -m clustering_tasks`, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch

    def __call__(self, *arguments: object) -> Outcome:
        self._patch.setattr(sys, "argv", ["clustering_tasks", *map(str, arguments)])
        self._capsys.readouterr()
        code: object = 0
        try:
            command_line.main()
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        return Outcome(code, *self._capsys.readouterr())


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    handler = signal.getsignal(signal.SIGTERM)
    yield CommandLine(capsys, monkeypatch)
    signal.signal(signal.SIGTERM, handler)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def stage3(tmp_path: Path) -> Stage3Folder:
    return Stage3Folder(tmp_path / "indices")


@dataclass(frozen=True)
class Workbench:
    """A Stage 3 folder and a workspace in which runs of it are made."""

    stage3: Stage3Folder
    workspace: UPath

    def start(self, level: str, job: str = "job", **settings: Any) -> Run:
        """Start a run; settings are nested or dotted, on top of those that the folder needs."""
        run = Run(
            workspace=self.workspace,
            level=LEVELS[level],
            job_id=job,
            indices=str(self.stage3.path),
            as_of=NOON,
            settings=run_settings(SMALL, settings),
        )
        run.start()
        return run

    def perform(self, level: str, job: str = "job", **settings: Any) -> dict[str, Any]:
        """Perform all steps, `map` too; return what `run --map` prints."""
        # numba and scikit-learn take seconds to load: only tests that cluster pay for them
        from clustering_tasks.pipeline import run_all

        done = run_all(self.start(level, job, **settings), self.output, with_map=True)
        check_jsonl(Path(done["clusters_jsonl"]))
        return done

    @property
    def output(self) -> UPath:
        return self.workspace / "output"


@pytest.fixture
def workbench(tmp_path: Path, stage3: Stage3Folder) -> Workbench:
    return Workbench(stage3, UPath(tmp_path / "workspace"))
