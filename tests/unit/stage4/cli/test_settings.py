"""`--set` against `RunSettings`, and what it makes against the DAG's own form."""

import pytest

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings, run_settings
from stage4.cli.errors import UsageError
from stage4.cli.settings import conf
from stage4.params import run_params

FIELDS = {
    name: param.dump()
    for name, param in run_params(LEVELS["events"]).items()
    if "const" not in param.schema  # those are of nested settings, which the terminal never sends
}


def refusal(*pairs: str, level: str = "events") -> str:
    with pytest.raises(UsageError) as error:
        conf(level, pairs)
    return str(error.value)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_default_may_be_set_again(name: str) -> None:
    value = FIELDS[name]["value"]
    text = (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
    chosen = conf("events", [f"{name}={text}"])
    assert chosen == {name: value}
    assert run_settings(chosen) == RunSettings()


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (
            "hdbscan.min_samples=two",
            "as an integer (got 'two')",
        ),
        ("hdbscan.min_samples=0", "greater than or equal to 1"),
        ("label.keywords=51", "less than or equal to 50"),
        ("temporal.decay_days=0", "greater than 0"),
        ("temporal.decay_days=a week", "valid number"),
        ("allow_partial=perhaps", "valid boolean"),
        ("allow_partial=", "valid boolean (got '')"),
        ("scope=all", "'level' or 'domain'"),
        ("min_samples=3", "did you mean hdbscan.min_samples or two_stage.min_samples?"),
        ("zzz=3", "unknown setting"),
        ("events.label.keywords=3", "unknown setting"),
        ("filter.since=soon", "ISO 8601"),
        ("filter.domains=health, heath", "no such domain as heath"),
        ("allow_partial=true", "needs scope=domain"),
        ("outliers.policy=target", "Set both or neither"),
    ],
)
def test_each_wrong_value_says_what_is_taken(pair: str, words: str) -> None:
    assert words in refusal(pair)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    said = refusal("zzz=3", "scope", "label.keywords=x", level="all")
    assert all(name in said for name in ("zzz", "scope", "label.keywords"))


def test_what_only_some_levels_refuse_names_them() -> None:
    said = refusal("outliers.policy=target", "events.outliers.target_share=0.1", level="all")
    assert "documents: " in said
    assert "events: " not in said


@pytest.mark.parametrize(
    "pair",
    [
        "filter.since=2026-03-01",
        "filter.until=",
        "filter.domains=health, legal",
        "hdbscan.min_samples=4",
        "temporal.window_days=null",
        "temporal.decay_days=2",
        "alerts.min_history=3",
        "filter.keep_undated=no",
    ],
)
def test_the_form_takes_what_the_terminal_sends(pair: str) -> None:
    ((name, value),) = conf("events", [pair]).items()
    assert run_params(LEVELS["events"])[name].resolve(value) == value


def test_text_may_hold_equals_signs_and_lists_commas() -> None:
    pairs = ["filter.document_ids=a=1, b=2", "filter.since=2026-03-01"]
    assert conf("events", pairs) == {
        "filter.document_ids": ["a=1", "b=2"],
        "filter.since": "2026-03-01T00:00:00Z",
    }


def test_all_levels_may_have_one_setting_and_each_its_own() -> None:
    pairs = ["scope=domain", "events.scope=level", "entities.label.keywords=3"]
    assert conf("all", pairs) == {
        "common": {"scope": "domain"},
        "events": {"scope": "level"},
        "entities": {"label.keywords": 3},
    }


def test_the_last_of_two_wins() -> None:
    assert conf("events", ["scope=level", "scope=domain"]) == {"scope": "domain"}
