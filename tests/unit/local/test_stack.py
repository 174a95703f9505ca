"""What a start of the local installation looks at."""

from pathlib import Path

import pytest

from local import stack


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
