from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.dotted import assignments, nested
from clustering_tasks.settings.run import RunSettings, run_settings


def refusal(*sources: dict[str, object]) -> str:
    with pytest.raises(SettingsError) as caught:
        run_settings(*sources)
    return str(caught.value)


def test_every_wrong_value_and_unknown_key_is_named_at_once() -> None:
    message = refusal(
        {
            "scope": "everywhere",
            "hdbscan.min_cluster_size": 1,
            "hdbscan": {"min_sample": 3},
            "neighbours": {"k": "many"},
            "publish.min_coverage": 1.5,
            "tpyo": True,
        }
    )
    head, *lines = message.splitlines()
    assert head == "settings refused:"
    named = sorted(line.removeprefix("  - ").split(":")[0] for line in lines)
    assert named == [
        "hdbscan.min_cluster_size",
        "hdbscan.min_sample",
        "neighbours.k",
        "publish.min_coverage",
        "scope",
        "tpyo",
    ]


def test_a_message_says_what_was_given_and_what_is_allowed() -> None:
    assert "(got 'everywhere')" in refusal({"scope": "everywhere"})
    assert "'level' or 'domain'" in refusal({"scope": "everywhere"})
    assert "greater than or equal to 2 (got 1)" in refusal({"hdbscan.min_cluster_size": 1})


@pytest.mark.parametrize("value", [10**30, "1" + "0" * 30])
def test_an_integer_beyond_64_bits_is_refused(value: object) -> None:
    assert "neighbours.exact_rows: an integer of 64 bits" in refusal(
        {"neighbours.exact_rows": value}
    )


def test_an_unknown_key_is_answered_with_those_of_its_group() -> None:
    in_group = refusal({"hdbscan.min_sample": 3})
    assert "hdbscan.min_sample: unknown setting; known are " in in_group
    assert "min_samples" in in_group
    assert "allow_partial" not in in_group
    at_the_top = refusal({"hdbscam.min_samples": 3})
    assert "hdbscam: unknown setting; known are " in at_the_top
    assert "allow_partial" in at_the_top
    assert "cluster_selection_epsilon" not in at_the_top


@pytest.mark.parametrize(
    ("chosen", "ways_out"),
    [
        ({"allow_partial": True}, ("scope=domain", "drop allow_partial")),
        ({"merge.join": "mutual_best"}, ("scope=domain", "merge.join=never")),
        (
            {"algorithm": "hdbscan", "hdbscan.min_samples": 9, "neighbours.k": 8},
            ("Raise neighbours.k", "lower hdbscan.min_samples"),
        ),
        (
            {"algorithm": "two_stage", "two_stage.min_samples": 40},
            ("Raise neighbours.k", "lower two_stage.min_samples"),
        ),
        (
            {"agglomerative.clusters": 9, "agglomerative.cut_similarity": 0.5},
            ("give one of them",),
        ),
        (
            {"agglomerative.distance_threshold": 1, "agglomerative.cut_similarity": 0.5},
            ("give one of them",),
        ),
        (
            {"agglomerative.linkage": "ward", "agglomerative.cut_similarity": 0.5},
            ("agglomerative.distance_threshold", "agglomerative.clusters", "another linkage"),
        ),
        ({"alerts.min_history": 40}, ("alerts.history", "Exchange them")),
        ({"outliers.policy": "target"}, ("outliers.target_share", "Set both or neither")),
        ({"outliers.target_share": 0.2}, ("outliers.policy", "Set both or neither")),
    ],
)
def test_an_impossible_pair_is_refused_with_the_ways_out(
    chosen: dict[str, object], ways_out: tuple[str, ...]
) -> None:
    message = refusal({"scope": "level"}, chosen)
    for name in chosen.keys() - {"algorithm", "agglomerative.linkage"}:
        assert name in message
    for way in ways_out:
        assert way in message


def test_all_impossible_pairs_are_named_at_once() -> None:
    message = refusal({"scope": "level", "allow_partial": True, "merge.join": "mutual_best"})
    assert "allow_partial" in message
    assert "merge.join" in message


def test_the_ways_out_lead_out() -> None:
    settings = run_settings({"scope": "domain", "allow_partial": True, "merge.join": "mutual_best"})
    assert settings.allow_partial
    assert settings.merge.join == "mutual_best"


@pytest.mark.parametrize(
    "chosen",
    [
        {"agglomerative": {"linkage": "ward", "distance_threshold": 3}},
        {"agglomerative": {"linkage": "ward", "clusters": 3}},
        {"agglomerative": {"linkage": "complete", "cut_similarity": 0.5}},
        {"outliers": {"policy": "target", "target_share": 0}},
        {"outliers": {"policy": "nearest", "threshold": 1}},
    ],
)
def test_what_goes_together_is_accepted(chosen: dict[str, object]) -> None:
    assert run_settings(chosen)


@pytest.mark.parametrize(
    ("given", "similarity"),
    [({}, None), ({"cut_similarity": 0.5}, 0.5), ({"distance_threshold": 2}, -1)],
)
def test_both_thresholds_say_how_similar_clusters_must_be(
    given: dict[str, object], similarity: float | None
) -> None:
    assert run_settings({"agglomerative": given}).agglomerative.least_similarity == similarity


def test_dotted_nested_and_command_line_forms_say_the_same() -> None:
    forms: list[dict[str, object]] = [
        {"scope": "domain", "hdbscan.min_samples": 4, "hdbscan.min_cluster_size": 7},
        {"scope": "domain", "hdbscan": {"min_samples": 4, "min_cluster_size": 7}},
        {"scope": "domain", "hdbscan": {"min_samples": 4}, "hdbscan.min_cluster_size": 7},
        {**assignments(["scope=domain", "hdbscan.min_samples=4", "hdbscan.min_cluster_size=7"])},
    ]
    (settings,) = {run_settings(form).model_dump_json() for form in forms}
    assert '"min_samples":4' in settings


def test_later_sources_win_and_leave_the_rest() -> None:
    settings = run_settings(
        {"hdbscan": {"min_samples": 4, "min_cluster_size": 7}}, None, {"hdbscan.min_samples": 2}
    )
    assert (settings.hdbscan.min_samples, settings.hdbscan.min_cluster_size) == (2, 7)


def test_sources_are_not_changed() -> None:
    source: dict[str, object] = {"hdbscan": {"min_samples": 4}}
    run_settings(source, {"hdbscan.min_samples": 2})
    assert source == {"hdbscan": {"min_samples": 4}}


def test_nested_goes_to_any_depth() -> None:
    assert nested({"a.b.c": 1, "a": {"b.d": 2}, "e": 3}) == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}


def test_assignments_keep_further_equals_signs_and_the_last_of_two() -> None:
    assert assignments(["a=b=c", "d=", "d=1"]) == {"a": "b=c", "d": "1"}


def test_every_pair_without_an_equals_sign_is_named() -> None:
    with pytest.raises(SettingsError, match=r"name=value.*\['scope', 'k'\]"):
        assignments(["scope", "a=1", "k"])


@pytest.mark.parametrize("value", ["nan", "inf", "", "five", None, [], 2.5])
def test_a_number_is_a_number(value: object) -> None:
    assert "hdbscan.min_cluster_size" in refusal({"hdbscan.min_cluster_size": value})


def test_a_group_is_no_value() -> None:
    assert "hdbscan: " in refusal({"hdbscan": 5})


def test_a_group_that_is_also_given_as_a_value_is_refused() -> None:
    message = refusal({"hdbscan": 3, "hdbscan.min_samples": 2})
    assert "hdbscan: given both as a group and as the value 3" in message


def test_settings_are_frozen() -> None:
    settings = run_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.scope = "domain"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.publish.min_items = 3  # type: ignore[misc]


def test_what_is_stored_with_a_run_gives_the_settings_back() -> None:
    settings = run_settings({"scope": "domain", "publish.min_coverage": 0.25})
    assert run_settings(settings.model_dump(mode="json")) == settings
    assert RunSettings.model_validate_json(settings.model_dump_json()) == settings


def numbers() -> list[str]:
    """The dotted names of all settings that take a number with a fraction."""
    return [
        f"{group}.{name}"
        for group, field in RunSettings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for name, inner in field.annotation.model_fields.items()
        if float in (inner.annotation, *get_args(inner.annotation))
    ]


def test_no_setting_takes_infinity_or_what_is_no_number() -> None:
    names = numbers()
    assert {"incremental.max_age_days", "publish.max_drift", "temporal.decay_days"} <= {*names}
    for value in ("inf", "-inf", "nan", float("inf"), float("nan")):
        message = refusal(dict.fromkeys(names, value))
        refused = {line.removeprefix("  - ").split(":")[0] for line in message.splitlines()[1:]}
        assert refused == {*names}, value
