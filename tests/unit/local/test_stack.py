"""What a start of the local installation looks at."""

from pathlib import Path

import pytest

from local import stack
from local.configuration import Options
from local.errors import LocalError
from local.state import State


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


def test_wrong_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    reported: list[str] = []
    options = Options(folder=tmp_path, isolated=True, environment={"STAGE4_BATCH_ROWS": "5"})
    local = stack.Stack(State.open(tmp_path / "state"), options, reported.append)
    with pytest.raises(LocalError, match=r"STAGE4_BATCH_ROWS: .*1024"):
        local.up()
    assert reported == []
