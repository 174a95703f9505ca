import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import DeploymentSettings, deployment, misspelt
from clustering_tasks.settings.levels import LEVELS


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment of whoever runs the tests nor the checkout's .env counts."""
    monkeypatch.chdir(tmp_path)
    for field in DeploymentSettings.model_fields:
        monkeypatch.delenv(f"STAGE4_{field.upper()}", raising=False)


def test_every_field_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE4_RUNNER", "docker")
    monkeypatch.setenv("STAGE4_GPU", "true")
    monkeypatch.setenv("STAGE4_RETRIES", "7")
    monkeypatch.setenv("STAGE4_MEMORY_LIMIT", "8g")
    settings = DeploymentSettings()
    assert (settings.runner, settings.gpu, settings.retries) == ("docker", True, 7)
    assert settings.memory_limit == "8g"


def test_an_env_file_is_read_and_the_environment_overrides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("STAGE4_RETRIES=5\nSTAGE4_IMAGE=ours:1\nOTHER=x\n")
    monkeypatch.setenv("STAGE4_RETRIES", "6")
    settings = DeploymentSettings()
    assert (settings.retries, settings.image) == (6, "ours:1")


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE4_STAGE3_URL", "")
    monkeypatch.setenv("STAGE4_CPUS", "")
    settings = DeploymentSettings()
    assert settings.stage3_url is None
    assert settings.cpus is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("RUNNER", "podman"), ("RETRIES", "-1"), ("GPU", "perhaps")),
        *(("STAGE3_URL", "ftp://stage3"), ("STAGE3_URL", "http://stage3:99999")),
        *(("STAGE3_URL", "http://[::1"), ("STAGE3_URL", "http://stage3\t:80")),
        *(("MEMORY_LIMIT", "8x"), ("WORKSPACE", "  "), ("WORKSPACE", "s4://bucket")),
        *(("OUTPUT", " "), ("INDICES", "\t"), ("SOURCE_TABLES", "{")),
        *(("STEP_TIMEOUT_MINUTES", "0"), ("CALLBACK_SECRET", "c2VjcmV0" * 4)),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"STAGE4_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        DeploymentSettings()


def test_local_paths_become_absolute_and_uris_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_WORKSPACE", "here/workspace")
    monkeypatch.setenv("STAGE4_INDICES", "s3://bucket/indices")
    settings = DeploymentSettings()
    assert settings.workspace == str(tmp_path / "here/workspace")
    assert settings.indices == "s3://bucket/indices"


def test_the_output_lies_in_the_workspace_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAGE4_WORKSPACE", "s3://bucket/runs")
    assert DeploymentSettings().output_uri == "s3://bucket/runs/output"
    monkeypatch.setenv("STAGE4_OUTPUT", "/elsewhere")
    assert DeploymentSettings().output_uri == "/elsewhere"


@pytest.mark.parametrize("level", LEVELS)
def test_a_schedule_is_the_levels_own_another_or_none(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DeploymentSettings().schedule(level) == LEVELS[level].schedule
    monkeypatch.setenv(f"STAGE4_SCHEDULE_{level.upper()}", "0 5 * * *")
    assert DeploymentSettings().schedule(level) == "0 5 * * *"
    monkeypatch.setenv(f"STAGE4_SCHEDULE_{level.upper()}", " None ")
    assert DeploymentSettings().schedule(level) is None


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DeploymentSettings().gpu = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "slots"),
    [({}, 2), ({"GPU": "true"}, 1), ({"GPU": "true", "CLUSTER_POOL_SLOTS": "3"}, 3)],
)
def test_one_cluster_task_at_a_time_has_the_gpus(
    given: dict[str, str], slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"STAGE4_{name}", value)
    assert DeploymentSettings().cluster_slots == slots


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_no_variable_takes_infinity_or_what_is_no_number(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    fields = DeploymentSettings.model_fields
    kinds = {name: field.annotation for name, field in fields.items()}
    names = [name for name, kind in kinds.items() if float in (kind, *get_args(kind))]
    assert "api_body_seconds" in names
    for name in names:
        monkeypatch.setenv(f"STAGE4_{name.upper()}", value)
    with pytest.raises(ValidationError) as refused:
        DeploymentSettings()
    assert {each["loc"][0] for each in refused.value.errors()} == {*names}


@pytest.mark.parametrize("limit", ["8g", "512M", "1.5gb", "1000000"])
def test_dockers_notation_of_memory(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("STAGE4_MEMORY_LIMIT", limit)
    assert DeploymentSettings().memory_limit == limit


def test_an_env_file_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STAGE4_ENV_FILE", str(tmp_path / "gone"))
    deployment.cache_clear()
    with pytest.raises(SettingsError, match=r"STAGE4_ENV_FILE=.*gone does not exist"):
        deployment()


def test_a_misspelt_variable_is_told_with_the_one_that_is_meant() -> None:
    names = ["STAGE4_WORKSPCE", "STAGE4_WORKSPACE", "STAGE4_OWN", "WORKSPCE"]
    assert list(misspelt(names)) == [("STAGE4_WORKSPCE", "STAGE4_WORKSPACE")]


def test_what_other_parts_read_is_not_misspelt() -> None:
    repository = Path(__file__).parents[3]
    kinds = ("*.py", "*.yaml", "*.yml", "*.sh", "Makefile", "Dockerfile")
    parts = ("clustering_tasks", "plugins", "deploy", "tools")
    files = [file for part in parts for kind in kinds for file in (repository / part).rglob(kind)]
    texts = [file.read_text() for file in (*files, *repository.glob("*.y*ml"))]
    texts.append((repository / "Makefile").read_text())
    found = {name for text in texts for name in re.findall(r"STAGE4_[A-Z0-9_]+", text)}
    read = {name for name in found if not name.endswith("_")}  # else a level's name follows
    assert "STAGE4_HOST_WORKSPACE" in read
    assert list(misspelt(read)) == []
