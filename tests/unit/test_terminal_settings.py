"""`--set` against the fields of the DAG's own form."""

import pytest

from clustering_tasks.settings.run import RunSettings, run_settings
from stage4.cli.errors import UsageError
from stage4.cli.settings import conf
from stage4.params import run_params

FIELDS = {name: param.dump() for name, param in run_params().items()}


def refusal(*pairs: str, level: str = "events") -> str:
    with pytest.raises(UsageError) as error:
        conf(level, pairs, FIELDS)
    return str(error.value)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_default_may_be_set_again(name: str) -> None:
    value = FIELDS[name]["value"]
    text = (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
    chosen = conf("events", [f"{name}={text}"], FIELDS)
    assert chosen == {name: value}
    assert run_settings(chosen) == RunSettings()


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("hdbscan.min_samples=two", "takes an integer (got 'two')"),
        ("hdbscan.min_samples=0", "takes at least 1"),
        ("label.keywords=51", "takes at most 50"),
        ("temporal.decay_days=0", "takes above 0"),
        ("temporal.decay_days=a week", "takes a number"),
        ("allow_partial=perhaps", "takes true or false"),
        ("allow_partial=", "takes true or false"),
        ("scope=all", "takes level, partition"),
        ("min_samples=3", "did you mean hdbscan.min_samples or two_stage.min_samples?"),
        ("zzz=3", "unknown setting"),
        ("events.label.keywords=3", "unknown setting"),
    ],
)
def test_each_wrong_value_says_what_is_taken(pair: str, words: str) -> None:
    assert words in refusal(pair)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    said = refusal("zzz=3", "scope", "label.keywords=x", level="all")
    assert all(name in said for name in ("zzz", "scope", "label.keywords"))


def test_text_may_hold_equals_signs_and_lists_commas() -> None:
    pairs = ["filter.document_ids=a=1, b=2", "filter.since=2026-03-01"]
    assert conf("events", pairs, FIELDS) == {
        "filter.document_ids": ["a=1", "b=2"],
        "filter.since": "2026-03-01",
    }


def test_all_levels_may_have_one_setting_and_each_its_own() -> None:
    pairs = ["scope=partition", "events.scope=level", "entities.label.keywords=3"]
    assert conf("all", pairs, FIELDS) == {
        "common": {"scope": "partition"},
        "events": {"scope": "level"},
        "entities": {"label.keywords": 3},
    }


def test_the_last_of_two_wins() -> None:
    assert conf("events", ["scope=level", "scope=partition"], FIELDS) == {"scope": "partition"}
