"""One state folder for `up`, `down`, `demo` and `clean`, and the commands that lead to it."""

from pathlib import Path

import pytest

from local import state as places
from local.__main__ import main, refuse_state_of_env_file
from local.errors import LocalError
from local.stack import Stack
from local.state import State


def test_a_printed_command_leads_to_the_same_state_from_any_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "DEFAULT", tmp_path / ".local")
    monkeypatch.delenv("STAGE4_STATE", raising=False)
    assert State.open().make("down") == "make down"
    other = tmp_path / "a second one"
    monkeypatch.setenv("STAGE4_STATE", str(other))
    assert State.open().make("down") == f"STAGE4_STATE='{other}' make down"
    assert State.open().demo.make("up") == f"STAGE4_STATE='{other / 'demo'}' make up"


def test_a_relative_folder_is_printed_as_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGE4_STATE", "mine")
    assert State.open().make("up") == f"STAGE4_STATE={tmp_path.resolve() / 'mine'} make up"


def test_what_was_never_started_names_its_own_command(tmp_path: Path) -> None:
    stack = Stack(State.open(tmp_path / "mine"))
    with pytest.raises(LocalError, match=rf"run `STAGE4_STATE={tmp_path.resolve()}/mine make up`"):
        _ = stack.base_url


def test_what_can_be_no_folder_is_told_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STAGE4_STATE", str(tmp_path / "file"))
    monkeypatch.setattr("sys.argv", ["local", "down"])
    assert main() == 1
    assert f"STAGE4_STATE={tmp_path / 'file'}" in capsys.readouterr().err


def test_the_env_file_names_no_state(tmp_path: Path) -> None:
    """Else `make up` would use the one of the shell, and nobody would be told."""
    (tmp_path / ".env").write_text("STAGE4_WORKSPACE=/data\n")
    refuse_state_of_env_file(tmp_path)
    (tmp_path / ".env").write_text("STAGE4_STATE=/data\n")
    with pytest.raises(LocalError, match="export STAGE4_STATE=FOLDER"):
        refuse_state_of_env_file(tmp_path)
