"""The generated pages: up to date, complete, and a check that notices when they are not."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from clustering_tasks import errors
from clustering_tasks.settings.deployment import DeploymentSettings
from clustering_tasks.settings.dotted import nested
from clustering_tasks.settings.run import RunSettings, run_settings
from tools.docs import contract, settings
from tools.docs.errors import errors_page


def test_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings.run(settings.pages, ["--check"]) == 0, capsys.readouterr().out


def test_the_generated_contract_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings.run(contract.files, ["--check"]) == 0, capsys.readouterr().out


def test_the_contract_has_no_schema_that_nothing_generates() -> None:
    there = {path.name for path in (settings.REPO / contract.FOLDER).iterdir()}
    assert there == {f"{name}.schema.json" for name in contract.schemas()}


def test_check_names_what_differs_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "REPO", tmp_path)
    written = {"docs/a.md": "new", "docs/b.md": "same"}
    assert settings.run(lambda: written, []) == 0
    (tmp_path / "docs/a.md").write_text("old")
    capsys.readouterr()

    assert settings.run(lambda: written, ["--check"]) == 1

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["docs/a.md"]
    assert (tmp_path / "docs/a.md").read_text() == "old"


def names_in(text: str) -> set[str]:
    """The first cells of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {line.split("|")[1].strip().strip("`") for line in lines}


def test_every_setting_of_a_run_is_described_under_a_name_that_is_accepted() -> None:
    names = names_in(settings.settings_page())
    assert "hdbscan.min_cluster_size" in names
    dumped = RunSettings().model_dump(mode="json")
    accepted = run_settings({name: value for name, value in leaves(dumped) if name in names})
    assert accepted == RunSettings()
    assert names >= {name for name, _ in leaves(dumped)}


def leaves(values: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """The values by dotted names."""
    found: list[tuple[str, object]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found += leaves(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    assert all(nested({name: value}) for name, value in found)
    return found


def test_the_example_env_file_states_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DeploymentSettings.model_fields:
        monkeypatch.delenv(f"STAGE4_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    ours = f"# {DeploymentSettings.model_config['env_prefix']}"
    lines = settings.env_example().partition("docker-compose")[0].splitlines()
    stated = [line.removeprefix("# ") for line in lines if line.startswith(ours)]
    (tmp_path / "example").write_text("\n".join(stated))

    assert len(stated) == len(DeploymentSettings.model_fields)
    assert all(f"STAGE4_{n.upper()}" in dotenv_values("example") for n in names())
    assert DeploymentSettings(_env_file="example") == DeploymentSettings(_env_file=None)


def names() -> list[str]:
    return list(DeploymentSettings.model_fields)


def test_every_exit_code_is_listed_with_whether_it_is_retried() -> None:
    rows = [line.split(" | ") for line in errors_page("").splitlines()]
    retried = {row[0].strip("| "): row[2] for row in rows if len(row) == 4}
    for error in errors.Stage4Error.__subclasses__():
        fatal = error.exit_code in errors.FATAL_EXIT_CODES
        assert retried[str(error.exit_code)] == ("no" if fatal else "yes")


def test_every_command_and_option_is_listed() -> None:
    text = settings.cli_page()
    for command in ("snapshot", "plan", "cluster", "merge", "label", "map", "run", "redact"):
        assert f"\n## {command}\n" in text
    assert "`--stage3-count`" in text
