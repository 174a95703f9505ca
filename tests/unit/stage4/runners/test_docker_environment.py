"""The variables of a step's container."""

from pathlib import Path

import pytest

from clustering_tasks.settings.deployment import DeploymentSettings
from stage4.runners.docker import _environment


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for field in DeploymentSettings.model_fields:
        monkeypatch.delenv(f"STAGE4_{field.upper()}", raising=False)


def test_the_gpus_settings_reach_the_steps_that_plan_for_it_and_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _environment(DeploymentSettings(), "cluster") == {}
    monkeypatch.setenv("STAGE4_GPU", "true")
    for step in ("plan", "cluster"):
        assert _environment(DeploymentSettings(), step) == {"STAGE4_GPU": "true"}
    assert _environment(DeploymentSettings(), "merge") == {}
    monkeypatch.setenv("STAGE4_GPU_MEMORY_BYTES", "1000")
    found = _environment(DeploymentSettings(), "cluster")
    assert found == {"STAGE4_GPU": "true", "STAGE4_GPU_MEMORY_BYTES": "1000"}
