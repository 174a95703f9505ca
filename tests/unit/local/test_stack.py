"""What a start of the local installation looks at."""

import subprocess
from pathlib import Path

import psutil
import pytest

from local import stack
from local.configuration import Options
from local.errors import LocalError
from local.state import State
from local.supervisor import Supervisor, tail


def test_a_new_migration_changes_the_version_of_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = stack.migrations()
    assert len(scripts) > 1
    before = stack.schema_version({})
    added = tmp_path / "0099_more.py"
    added.write_text("revision = '0099'\n")
    monkeypatch.setattr(stack, "migrations", lambda: [*scripts, added])
    assert stack.schema_version({}) != before


def test_a_setting_that_was_changed_since_the_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for supervisord: its environment is what counts."""
    for name in ("STAGE4_INDICES", "STAGE4_URL", "AIRFLOW_CONN_HOOK"):
        monkeypatch.delenv(name, raising=False)
    local = stack.Stack(State.open(tmp_path / "state"), Options(folder=tmp_path))
    assert local.changed_settings() == []
    started = subprocess.Popen(["sleep", "60"], env=dict(local.environment))
    try:
        monkeypatch.setattr(Supervisor, "process", lambda _: psutil.Process(started.pid))
        monkeypatch.setenv("STAGE4_URL", "http://of.the.terminal")
        assert local.changed_settings() == []
        (tmp_path / ".env").write_text(
            'STAGE4_EVENT_RECEIVERS=hook\nAIRFLOW_CONN_HOOK=\'{"conn_type": "http"}\'\n'
        )
        assert local.changed_settings() == ["AIRFLOW_CONN_HOOK", "STAGE4_EVENT_RECEIVERS"]
    finally:
        started.kill()
        started.wait()


def test_only_what_a_log_got_since_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "migrate.log"
    log.write_text("an earlier start\n")
    begin = log.stat().st_size
    with log.open("a") as file:
        file.write("the error\n")
    assert tail(log, begin) == "the error"


def test_wrong_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    reported: list[str] = []
    options = Options(folder=tmp_path, isolated=True, environment={"STAGE4_BATCH_ROWS": "5"})
    local = stack.Stack(State.open(tmp_path / "state"), options, reported.append)
    with pytest.raises(LocalError, match=r"STAGE4_BATCH_ROWS: .*1024"):
        local.up()
    assert reported == []
