"""The variables of a step's container."""

from pathlib import Path

import pytest

from clustering_tasks.settings.deployment import DeploymentSettings
from stage4.runners.docker import _environment

LOGS = {"STAGE4_LOG_LEVEL": "info"}
SEARCH = LOGS | {"STAGE4_CHECKPOINT_SECONDS": "30.0"}


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for field in DeploymentSettings.model_fields:
        monkeypatch.delenv(f"STAGE4_{field.upper()}", raising=False)


def test_the_gpus_settings_reach_the_steps_that_plan_for_it_and_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _environment(DeploymentSettings(), "cluster") == SEARCH
    monkeypatch.setenv("STAGE4_GPU", "true")
    assert _environment(DeploymentSettings(), "plan") == LOGS | {"STAGE4_GPU": "true"}
    assert _environment(DeploymentSettings(), "cluster") == SEARCH | {"STAGE4_GPU": "true"}
    assert _environment(DeploymentSettings(), "merge") == LOGS
    monkeypatch.setenv("STAGE4_GPU_MEMORY_BYTES", "1000")
    found = _environment(DeploymentSettings(), "cluster")
    assert found == SEARCH | {"STAGE4_GPU": "true", "STAGE4_GPU_MEMORY_BYTES": "1000"}


def test_the_limit_of_items_reaches_the_step_that_reads_stage_3(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAGE4_MAX_ITEMS", "1000")
    assert _environment(DeploymentSettings(), "snapshot") == LOGS | {"STAGE4_MAX_ITEMS": "1000"}
    assert _environment(DeploymentSettings(), "plan") == LOGS
