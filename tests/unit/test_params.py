from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.run import RunSettings, run_settings
from stage4.params import run_params

PARAMS = run_params()


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
    assert run_settings({name: param.value for name, param in PARAMS.items()}) == RunSettings()


@pytest.mark.parametrize("name", PARAMS)
def test_a_field_is_described_and_valid(name: str) -> None:
    param = PARAMS[name]
    jsonschema.Draft202012Validator.check_schema(param.schema)
    assert param.resolve() == param.value
    assert param.description
    assert param.schema["section"]
    assert "type" in param.schema
    assert not {"$ref", "anyOf", "const", "title"} & set(param.schema)


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
