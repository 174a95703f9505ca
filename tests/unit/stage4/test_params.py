from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.settings.run import RunSettings, run_settings
from stage4.params import OPENING, run_params, settings_schema

ALL_PARAMS = run_params(LEVELS["events"])
# The form shows no param with a `const`.
PARAMS = {name: param for name, param in ALL_PARAMS.items() if "const" not in param.schema}
NESTED = {name: param for name, param in ALL_PARAMS.items() if name not in PARAMS}
OWN_GROUPS = tuple(ALGORITHMS)


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = value
    return result


def test_the_form_has_every_setting_with_its_default() -> None:
    form = {name: param.value for name, param in PARAMS.items()}
    assert form == flat(RunSettings().model_dump(mode="json"))


def test_the_form_as_it_is_sent_gives_the_default_settings() -> None:
    sent = {name: param.value for name, param in ALL_PARAMS.items()}
    assert run_settings(sent) == RunSettings()
    assert run_settings(sent | {"hdbscan.min_samples": 4}).hdbscan.min_samples == 4


@pytest.mark.parametrize("name", PARAMS)
def test_a_field_is_described_and_valid(name: str) -> None:
    param = PARAMS[name]
    jsonschema.validators.validator_for(param.schema).check_schema(param.schema)
    assert param.resolve() == param.value
    assert param.description
    assert "type" in param.schema
    assert not {"anyOf", "const", "title"} & set(param.schema)


def test_the_form_opens_with_what_people_turn_and_then_goes_by_group() -> None:
    assert set(list(PARAMS)[: len(OPENING)]) == set(OPENING)
    for level, taken in {"events": "label_propagation", "storylines": "agglomerative"}.items():
        assert list(run_params(LEVELS[level]))[1].startswith(f"{taken}.")
    sections = {name: param.schema.get("section") for name, param in PARAMS.items()}
    # Airflow opens the box of the params without a section; the others are closed.
    assert {name for name, section in sections.items() if section is None} == set(OPENING)
    assert OPENING[0] == "algorithm"
    assert {name for name in OPENING if name.startswith("outliers.")} == {
        name for name in PARAMS if name.startswith("outliers.")
    }
    assert {name for name in OPENING if name.startswith("filter.")} == {
        name for name in PARAMS if name.startswith("filter.")
    }
    groups = {name: name.rpartition(".")[0] for name in PARAMS if name not in OPENING}
    by_group = {(groups[name], sections[name]) for name in groups}
    assert len(by_group) == len({group for group, _ in by_group}) == len({s for _, s in by_group})


@pytest.mark.parametrize("name", [name for name in PARAMS if name.split(".")[0] in OWN_GROUPS])
def test_a_setting_of_one_algorithm_says_so(name: str) -> None:
    algorithm = name.split(".")[0]
    param = PARAMS[name]
    words = param.schema.get("section") or param.description or ""
    assert "only with" in words.lower()
    assert algorithm in words.replace(" ", "_").lower()


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_the_form_says_what_auto_takes_for_its_level(level: Level) -> None:
    words = run_params(level)["algorithm"].description or ""
    general = RunSettings.model_fields["algorithm"].description or ""
    few, many = (resolve_method(run_settings(), level, n).algorithm for n in (100_000, 100_001))
    assert f"`auto` takes {few}" in words
    assert level.name in general
    if few == many:
        assert not ({*OWN_GROUPS} - {few}) & {*words.replace(".", "").split()}
    else:
        assert f"{few} for up to 100,000 {level.name} and {many} for more" in words


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_a_filter_that_no_item_of_the_level_can_pass_says_so(level: Level) -> None:
    form = run_params(level)
    assert set(form) == set(ALL_PARAMS)
    for name in ("domains", "event_types", "entity_types"):
        unset = (form[f"filter.{name}"].description or "").startswith("Leave unset")
        assert unset == (name not in level.filtered_by)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scope", "everything"),
        ("allow_partial", "perhaps"),
        ("neighbours.k", 1),
        ("neighbours.k", 2.5),
        ("neighbours.k", None),
        ("input.norm_tolerance", 0),
        ("hdbscan.cluster_selection_method", "best"),
        ("hdbscan.min_cluster_size", 1),
        ("publish.min_coverage", 1.1),
        ("publish.max_largest_share", 0),
    ],
)
def test_form_and_model_refuse_the_same_values(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="Failed validating"):
        PARAMS[name].resolve(value)
    with pytest.raises(SettingsError):
        run_settings({name: value})


def refusal(value: Any, schema: dict[str, Any]) -> str | None:
    """Why Airflow refuses a value at the trigger; None: it does not."""
    try:
        Param({}, schema=schema).resolve(value)
    except ParamValidationError as error:
        return str(error)
    return None


def test_each_group_has_a_param_that_the_form_hides() -> None:
    groups = {name for name, value in RunSettings().model_dump().items() if isinstance(value, dict)}
    assert set(NESTED) == groups | {"partition"}
    assert all(param.value == {} for param in NESTED.values())


@pytest.mark.parametrize(
    ("conf", "named"),
    [
        ({"hdbscan": {"min_cluster_size": 1}}, "min_cluster_size"),
        ({"hdbscan": {"min_cluster_sise": 8}}, "min_cluster_sise"),
        ({"hdbscan": 5}, "5"),
        ({"hdbscan": None}, "None"),
        ({"neighbours": {"exact_rows": 10**30}}, "exact_rows"),
        ({"evidence": {"gate_weight": 99}}, "gate_weight"),
        ({"partition": {"max_parts": 10**30}}, "max_parts"),
        ({"filter": {"document_ids": [10**30]}}, "document_ids"),
        ({"outliers": {"policy": "best"}}, "policy"),
        ({"temporal": {"decay": 10**30}}, "decay"),
    ],
)
def test_a_wrong_nested_setting_is_refused_at_the_trigger(conf: dict[str, Any], named: str) -> None:
    [(group, value)] = conf.items()
    assert named in (refusal(value, NESTED[group].schema) or "")
    assert named in (refusal(conf, settings_schema()) or "")


@pytest.mark.parametrize(
    "conf",
    [
        RunSettings().model_dump(mode="json"),
        {"filter": {"domains": "health, legal", "since": "2026-01-01"}},
        {"evidence": {"gate_similarity": 0.5}, "partition": {"max_parts": 3}},
        {"agglomerative": {"clusters": None, "distance_threshold": 1}},
    ],
)
def test_what_the_settings_take_is_taken_at_the_trigger(conf: dict[str, Any]) -> None:
    run_settings(conf)
    assert refusal(conf, settings_schema()) is None
    assert refusal(flat(conf), settings_schema()) is None
    for name, value in conf.items():
        if isinstance(value, dict):
            assert refusal(value, NESTED[name].schema) is None


def test_no_number_beyond_64_bits_passes_a_param() -> None:
    for param in PARAMS.values():
        if {"integer", "number"} & {*param.schema["type"]}:
            assert refusal(10**30, param.schema)
