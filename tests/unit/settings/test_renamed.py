"""Old names of settings: accepted wherever a new one is, one warning each."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict
from structlog.testing import capture_logs
from upath import UPath

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings import renamed
from clustering_tasks.settings.dotted import assignments, nested
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.renamed import RENAMED
from clustering_tasks.settings.run import RunSettings, run_settings
from clustering_tasks.workspace.artefacts import Run, load_run
from stage4.cli.errors import UsageError
from stage4.cli.settings import conf as terminal_conf
from stage4.conf import conf_of_levels
from stage4.params import run_params

Json = dict[str, Any]
# A value for each old name that is not the new one's default, and another.
VALUES: dict[str, tuple[Any, Any]] = {
    "evidence.gate_similarity": (0.7, 0.6),
    "evidence.gate_weight": (2.5, 2.0),
    "partition.by": ("domain_event_type", "domain"),
    "partition.max_parts": (5, 6),
    "partition.min_part_rows": (30, 40),
    "scope=partition": ("partition", "level"),
}
PARAMS = run_params(LEVELS["events"])


@pytest.fixture(autouse=True)
def nothing_said_yet() -> Iterator[None]:
    renamed._warn.cache_clear()
    yield
    renamed._warn.cache_clear()


def given(old: str) -> Json:
    """The conf with an old name."""
    return {old.partition("=")[0]: VALUES[old][0]}


def wanted(old: str) -> Json:
    """The conf that means the same today."""
    name, _, value = RENAMED[old].partition("=")
    return {name: value or VALUES[old][0]}


def trigger(conf: Json) -> None:
    """What Airflow does with the conf of `POST dagRuns`."""
    params = {
        name: SerializedParam(param.value, param.description, **param.schema)
        for name, param in PARAMS.items()
    }
    SerializedParamsDict(params).deep_merge(conf).validate()


def warnings(logs: list[Any]) -> list[str]:
    assert {each["log_level"] for each in logs} == {"warning"}
    return [each["event"] for each in logs]


def forms(conf: Json) -> list[Json]:
    """Dotted, nested, and as the command line gives it."""
    return [conf, nested(conf), {**assignments([f"{name}={conf[name]}" for name in conf])}]


def test_the_table_has_only_names_that_are_gone_and_leads_to_names_that_are_there() -> None:
    assert set(VALUES) == set(RENAMED)
    for old, new in RENAMED.items():
        name, _, value = new.partition("=")
        assert name in PARAMS
        assert old not in PARAMS
        if value:
            assert value in PARAMS[name].schema["enum"]
            assert old.partition("=")[2] not in PARAMS[name].schema["enum"]


@pytest.mark.parametrize("old", RENAMED)
@pytest.mark.parametrize("form", range(3))
def test_an_old_name_means_the_new_one_and_is_warned_of_once(old: str, form: int) -> None:
    with capture_logs() as logs:
        settings = run_settings(forms(given(old))[form])
        run_settings(forms(given(old))[form])
    assert settings == run_settings(wanted(old)) != RunSettings()
    assert warnings(logs) == [f"setting {old} is called {RENAMED[old]} now"]


@pytest.mark.parametrize("old", [old for old in RENAMED if "=" not in old])
def test_both_names_with_one_value_are_accepted_and_with_two_refused_by_name(old: str) -> None:
    new = RENAMED[old]
    assert run_settings(given(old) | wanted(old)) == run_settings(wanted(old))
    with pytest.raises(SettingsError) as refused:
        run_settings(given(old) | {new: VALUES[old][1], "neighbours.k": 1})
    message = str(refused.value)
    assert f"  - {old}: is called {new} now, and both are given" in message
    assert "neighbours.k: " in message


@pytest.mark.parametrize("old", RENAMED)
def test_a_later_source_wins_whichever_name_it_has(old: str) -> None:
    name = RENAMED[old].partition("=")[0]
    assert run_settings({name: VALUES[old][1]}, given(old)) == run_settings(wanted(old))
    other = {name: VALUES[old][1]}
    assert run_settings(given(old), other) == run_settings(other)


@pytest.mark.parametrize("old", RENAMED)
def test_airflow_lets_an_old_name_pass(old: str) -> None:
    for form in (given(old), nested(given(old))):
        trigger(form)


@pytest.mark.parametrize("old", RENAMED)
def test_the_terminal_sends_the_new_name_and_notes_it(
    old: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [f"{name}={value}" for name, value in given(old).items()]
    assert terminal_conf("events", pairs) == wanted(old)
    noted = capsys.readouterr().err
    assert pairs[0] in noted
    assert RENAMED[old].partition("=")[0] in noted


def test_airflow_still_refuses_what_was_never_a_value() -> None:
    with pytest.raises(ValueError, match="Failed validating"):
        trigger({"scope": "partitions"})


@pytest.mark.parametrize("old", RENAMED)
def test_cluster_all_gives_the_levels_new_names_and_their_own_override(old: str) -> None:
    name = RENAMED[old].partition("=")[0]
    own = {name: VALUES[old][1]}
    with capture_logs() as logs:
        levels = conf_of_levels({"common": nested(given(old)), "events": own})
    assert levels["events"] == nested(own)
    assert levels["documents"] == nested(wanted(old))
    assert warnings(logs) == [f"setting {old} is called {RENAMED[old]} now"]


def test_cluster_all_names_the_group_that_has_both() -> None:
    both = {"partition.max_parts": 3, "parts.max_count": 4}
    with pytest.raises(SettingsError, match=r"^events: partition\.max_parts: is called parts\."):
        conf_of_levels({"events": both})


def of_an_earlier_version() -> Json:
    """All settings as a run stored them when they had their old names."""
    stored = RunSettings().model_dump(mode="json")
    for old, new in RENAMED.items():
        if "=" not in old:
            group, name = new.split(".")
            del stored[group][name]
            if not stored[group]:
                del stored[group]
        name = old.partition("=")[0]
        stored = nested(stored | {name: VALUES[old][0]})
    return stored


def test_a_run_that_an_earlier_version_stored_is_read(tmp_path: Path) -> None:
    run = Run(UPath(tmp_path), LEVELS["events"], "j1", "in", datetime.now(UTC), RunSettings())
    run.start()
    path = run.folder / "run.json"
    record = json.loads(path.read_text()) | {"settings": of_an_earlier_version()}
    path.write_text(json.dumps(record))
    settings = load_run(UPath(tmp_path), LEVELS["events"], "j1").settings
    assert settings == run_settings(*(wanted(old) for old in RENAMED))


def test_a_report_that_an_earlier_version_stored_is_read() -> None:
    """The report's model reads the settings itself, from files and from the database."""
    stored = of_an_earlier_version()
    settings = run_settings(*(wanted(old) for old in RENAMED))
    assert RunSettings.model_validate(stored) == settings
    assert RunSettings.model_validate_json(json.dumps(stored)) == settings


def test_an_empty_group_of_old_names_is_still_nothing() -> None:
    assert run_settings({"partition": {}}) == RunSettings()
    with pytest.raises(SettingsError, match="partition: its settings have other names now"):
        run_settings({"partition.size": 3})


@pytest.mark.parametrize("rest", [{"by": "domain", "max_prts": 3}, None, "x", 5])
def test_what_is_left_in_a_group_of_old_names_is_explained(rest: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        run_settings({"partition": rest})
    assert "partition.max_parts is parts.max_count" in str(refused.value)
    assert "unknown setting" not in str(refused.value)


def test_a_value_as_text_is_the_same_value() -> None:
    both = run_settings({"partition.max_parts": "3", "parts.max_count": 3})
    assert both.parts.max_count == 3
    with pytest.raises(SettingsError) as refused:
        run_settings({"evidence.gate_weight": float("nan")})
    assert "both are given" not in str(refused.value)


def test_stored_settings_do_not_warn() -> None:
    with capture_logs() as logs:
        RunSettings.model_validate({"partition": {"max_parts": 3}})
    assert logs == []


def test_the_terminal_refuses_two_values_under_two_names() -> None:
    with pytest.raises(UsageError, match=r"parts\.by is given by its former name, too"):
        terminal_conf("events", ["parts.by=domain_event_type", "partition.by=domain"])
    assert terminal_conf("events", ["parts.by=domain", "parts.by=domain_event_type"]) == {
        "parts.by": "domain_event_type"
    }
