"""docs/reference/dags.md: generated from the DAGs."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]


def test_the_page_is_up_to_date_whatever_this_installation_is_set_to() -> None:
    changed = {"STAGE4_RUNNER": "docker", "STAGE4_SCHEDULE_EVENTS": "none", "STAGE4_RETRIES": "9"}
    path = os.pathsep.join([str(REPO), str(REPO / "plugins")])
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs.dags", "--check"],
        env=os.environ | changed | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
