"""On a real terminal: the bar of a job that is followed, and nothing broken on a narrow one."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.integration.terminal import recorded
from tests.integration.terminal.conftest import TOKEN, Script

REPO = Path(__file__).parents[3]
COLUMNS = 60


def on_a_terminal(url: str, *arguments: str) -> tuple[int, str]:
    """Perform a command whose standard streams are a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    path = os.pathsep.join([str(REPO), str(REPO / "plugins")])
    own = {"PYTHONPATH": path, "STAGE4_URL": url, "STAGE4_TOKEN": TOKEN, "TERM": "xterm"}
    unset = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "STAGE4_USER"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "stage4.cli", *arguments],
        env=inherited | own,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = drained(ours)  # before it is waited for: a full terminal holds its writer up
    return process.wait(), shown


def drained(terminal: int) -> str:
    """All that was written to a terminal whose writer has ended."""
    found = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # what a terminal says at its end
            part = b""
        if not part:
            os.close(terminal)
            return found.decode()
        found += part


def test_a_job_has_a_bar_that_goes_away(script: Script, url: str) -> None:
    done = recorded.COMPLETED
    script.stage4(f"GET jobs/{recorded.JOB_ID}", recorded.RUNNING, done)
    script.stage4("GET runs", {"runs": [recorded.RUN], "next_cursor": None})
    script.stage4("GET runs/events/17", recorded.FULL_RUN)
    code, shown = on_a_terminal(url, "status", recorded.JOB_ID, "--watch")
    assert code == 0
    assert "cluster 1/3" in shown
    assert "━" in shown
    assert "\x1b[2K" in shown  # the bar's line is cleared
    assert "label_propagation" in shown


def test_a_narrow_terminal_folds_and_loses_nothing(script: Script, url: str) -> None:
    script.stage4("GET jobs", {"jobs": [recorded.LISTED], "next_cursor": None})
    code, shown = on_a_terminal(url, "list")
    assert code == 0
    column = "".join(line[: len(recorded.JOB_ID)].split(" ")[0] for line in shown.splitlines()[1:])
    assert recorded.JOB_ID in column


def test_causes_are_wrapped_and_not_cut(script: Script, url: str) -> None:
    told = {"status": "down", "detail": recorded.CAUSE, "seconds": None}
    script.stage4("GET health", recorded.HEALTH | {"dependencies": {"event_receivers": told}})
    code, shown = on_a_terminal(url, "health")
    assert (code, "…" in shown) == (0, False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(map(len, plain.splitlines())) <= COLUMNS
    assert all(word in plain.split() for word in recorded.CAUSE.split())


@pytest.mark.skipif(not (REPO / ".venv").exists(), reason="`make setup` makes the environment")
def test_the_linked_command_runs_anywhere(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise SystemExit(3)")
    (tmp_path / "stage4").symlink_to(REPO / "local" / "stage4.sh")
    done = subprocess.run(
        [str(tmp_path / "stage4"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "submit" in done.stdout
