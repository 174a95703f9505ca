from typing import Any

import pytest

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.levels import LEVELS
from stage4.conf import chosen, conf_of_levels


def test_without_conf_every_level_gets_an_empty_one() -> None:
    assert conf_of_levels(None) == {level: {} for level in LEVELS}


def test_a_level_overrides_what_is_common_and_keeps_the_rest() -> None:
    levels = conf_of_levels(
        {
            "common": {"hdbscan.min_cluster_size": 4, "hdbscan": {"min_samples": 2}},
            "events": {"hdbscan": {"min_cluster_size": 8}, "scope": "domain"},
        }
    )
    assert levels["documents"] == {"hdbscan": {"min_cluster_size": 4, "min_samples": 2}}
    assert levels["events"] == {
        "hdbscan": {"min_cluster_size": 8, "min_samples": 2},
        "scope": "domain",
    }


def test_every_problem_is_named_at_once() -> None:
    conf = {"common": {"scope": "all"}, "events": {"typo": 1}, "documents": {"neighbours.k": 1}}
    with pytest.raises(SettingsError) as error:
        conf_of_levels(conf)
    message = str(error.value)
    assert message.count("scope") >= len(LEVELS)
    assert "typo" in message
    assert "neighbours.k" in message


def test_an_impossible_pair_that_only_the_merge_makes_is_refused() -> None:
    conf = {"common": {"allow_partial": True, "scope": "domain"}, "events": {"scope": "level"}}
    with pytest.raises(
        SettingsError, match=r"^events: settings refused:\n.*allow_partial"
    ) as error:
        conf_of_levels(conf)
    assert "entities" not in str(error.value)


@pytest.mark.parametrize("conf", [{"event": {}}, {"hdbscan.min_samples": 2}, {"events": 3}])
def test_an_unknown_or_misshapen_group_is_refused(conf: dict[str, Any]) -> None:
    name = next(iter(conf)).split(".")[0]
    with pytest.raises(SettingsError, match=f"{name}: "):
        conf_of_levels(conf)


def test_what_airflow_adds_is_not_the_callers() -> None:
    assert chosen({"openlineage": {"parentRunId": "x"}, "scope": "level"}) == {"scope": "level"}


def test_a_common_filter_must_be_one_of_every_level_or_be_taken_back() -> None:
    conf: dict[str, Any] = {"common": {"filter.domains": "health", "filter.since": "2025-12-01"}}
    with pytest.raises(SettingsError) as error:
        conf_of_levels(conf)
    refused = [line.split(":")[0] for line in str(error.value).splitlines()]
    assert refused == ["documents", "entities"]
    without = {"documents": {"filter": {"domains": None}}, "entities": {"filter.domains": None}}
    levels = conf_of_levels(conf | without)
    assert levels["events"]["filter"] == {"domains": "health", "since": "2025-12-01"}
    assert levels["documents"]["filter"]["domains"] is None
