"""`make audit`: which known vulnerabilities pip-audit is told to leave out."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPO = Path(__file__).parents[3]
# In place of uv, which needs the network: it fails for one lock file.
UV = """#!/bin/sh
echo "$@"
case "$*" in *requirements-gpu.txt*) exit 1 ;; esac
"""


def test_an_exception_holds_until_its_day_and_every_lock_file_is_looked_up(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPO / ".ci" / "audit", tmp_path / ".ci")
    (tmp_path / ".ci" / "audit-exceptions").write_text(
        "# id, until when, why\n\n"
        f"PYSEC-1 {today + timedelta(days=2)} nobody reaches it\n"
        f"PYSEC-2 {today - timedelta(days=2)} nobody reached it\n"
    )
    uv = tmp_path / ".venv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(UV)
    uv.chmod(0o755)
    done = subprocess.run([tmp_path / ".ci" / "audit"], check=False, capture_output=True, text=True)
    assert done.returncode == 1, "a finding in one lock file fails the whole"
    looked_up = [line for line in done.stdout.splitlines() if "pip-audit" in line]
    locks = [*REPO.glob("requirements*.txt"), *REPO.glob("images/*/requirements*.txt")]
    assert len(looked_up) == len(locks) == 4
    for line in looked_up:
        assert "--ignore-vuln PYSEC-1" in line
        assert "PYSEC-2" not in line
    assert "the exception of PYSEC-2 ended" in done.stderr


def test_every_exception_has_an_id_a_day_and_a_reason() -> None:
    for line in (REPO / ".ci" / "audit-exceptions").read_text().splitlines():
        if line and not line.startswith("#"):
            _, until, reason = line.split(maxsplit=2)
            datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=UTC)
            assert reason
