"""The command `stage4` against a real Airflow with Stage 4's API."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.configuration import USER
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published
from tests.readme import REPO, blocks

pytestmark = pytest.mark.airflow

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's shell in a checkout, which is the home, too: the command is not on the path."""
    home = tmp_path_factory.mktemp("home")
    (home / ".venv" / "bin").mkdir(parents=True)
    (home / ".venv" / "bin" / "stage4").symlink_to(REPO / "local" / "stage4.sh")
    return {
        "HOME": str(home),
        "PATH": os.defpath,
        "URL": airflow.base_url,
        "PASSWORD": airflow.stack.state.secrets().password,
    }


@pytest.fixture(scope="module")
def stage4(environment: dict[str, str], airflow: Airflow) -> Program:
    password = Path(environment["HOME"], "password")
    password.touch(mode=0o600)
    password.write_text(environment["PASSWORD"] + "\n")
    own = {
        "STAGE4_URL": airflow.base_url,
        "STAGE4_USER": USER,
        "STAGE4_PASSWORD_FILE": str(password),
    }

    def perform(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"{environment['HOME']}/.venv/bin/stage4", *arguments],
            env=environment | own,
            cwd=environment["HOME"],
            capture_output=True,
            text=True,
            check=False,
        )

    return perform


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def job(stage4: Program) -> dict[str, Any]:
    """A run of the storylines that the command has started and followed."""
    wait = ("submit", "storylines", "--set", "label.keywords=5", "--wait", "--json")
    found: dict[str, Any] = answer(stage4(*wait))
    return found


def test_submit_waits_for_the_published_run(airflow: Airflow, job: dict[str, Any]) -> None:
    seen = published(airflow, "storylines")
    assert (job["state"], job["percent"], job["job_id"]) == ("completed", 100.0, seen.job_id)
    assert job["run"]["clusters"] == seen.counts["clusters"]
    assert job["run"]["state"] == "current"
    assert -1 <= job["run"]["quality"]["silhouette"] <= 1
    assert job["items_done"] == job["items_total"] == seen.counts["read"]
    settings = airflow.xcom(job, "check_stage3")["settings"]
    assert settings["label"]["keywords"] == 5


def test_what_was_started_is_listed_and_has_a_status(stage4: Program, job: dict[str, Any]) -> None:
    listed = answer(stage4("list", "--level", "storylines", "--json"))["jobs"]
    assert listed[0]["job_id"] == job["job_id"]
    assert answer(stage4("status", job["job_id"], "--json")) == job
    shown = stage4("status", job["job_id"], "--watch")
    assert shown.returncode == 0
    assert "load_postgres" in shown.stdout


def test_a_cluster_is_found_by_its_words_and_shown(airflow: Airflow, stage4: Program) -> None:
    seen = published(airflow, "storylines")
    largest = max(seen.clusters, key=lambda cluster: seen.clusters[cluster])
    cluster = answer(stage4("show", largest, "--members", "--limit", "500", "--json"))
    assert cluster["size"] == len(cluster["members"]) == seen.clusters[largest]
    assert 0 < len(cluster["keywords"]) <= 5
    found = answer(stage4("search", cluster["keywords"][0], "--json"))["levels"]
    assert largest in [each["cluster_id"] for level in found for each in level["clusters"]]
    assert cluster["label"][:20] in stage4("show", largest).stdout


def test_metrics_health_and_resources_answer(stage4: Program, job: dict[str, Any]) -> None:
    metrics = answer(stage4("metrics", "storylines", "--json"))
    assert metrics["latest"]["job_id"] == job["job_id"]
    assert metrics["latest"]["values"]["seconds.load_postgres"] > 0
    assert metrics["latest"]["values"]["tags.per_item"] == 1.0  # each storyline has its type
    assert "coverage" in stage4("metrics", "storylines").stdout
    health = answer(stage4("health", "--json"))
    assert health["dependencies"]["postgres"]["status"] == "up"
    assert {pool["name"] for pool in answer(stage4("resources", "--json"))["pools"]} == {
        "stage4_cluster",
        "stage4_steps",
    }


def test_settings_that_contradict_the_folder_fail_the_job(stage4: Program) -> None:
    done = stage4("submit", "events", "--set", "input.dimension=3", "--wait")
    assert done.returncode == 1
    assert "has failed in snapshot" in done.stderr
    assert "set input.dimension=" in done.stdout
    missing = stage4("status", "cluster_events.nothing")
    assert (missing.returncode, missing.stdout) == (66, "")


def test_what_the_readme_shows_works(environment: dict[str, str], job: dict[str, Any]) -> None:
    [script] = blocks("From a terminal", "sh")
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100.0 %  completed" in done.stderr
    assert "warning" not in done.stderr
    assert Path(environment["HOME"], "stage4-password").stat().st_mode & 0o777 == 0o600
