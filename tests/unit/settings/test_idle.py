"""Settings that cannot act: the table is complete, true to the method, and names the reason."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.algorithms.method import LARGE, resolve_method
from clustering_tasks.publication.idle import idle_before
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.idle import (
    RULES,
    Circumstances,
    changed,
    compares_stories,
    has_evidence,
    idle_settings,
    known_names,
    mixes_context,
    rules_of,
)
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings, run_settings
from stage4.params import run_params

REPO = Path(__file__).parents[3]


def idle(level: str, chosen: dict[str, Any], items: int | None = 5000, **more: Any) -> list[str]:
    """The names of the settings without effect."""
    found = idle_before(run_settings(chosen), LEVELS[level], items, **more)
    return [each.setting for each in found]


def test_a_setting_of_another_algorithm_is_named_with_the_reason() -> None:
    settings = run_settings({"hdbscan.min_cluster_size": 4, "publish.min_clusters": 1})
    [found] = idle_before(settings, LEVELS["events"], None)
    assert str(found) == (
        "hdbscan.min_cluster_size=4 has no effect: it acts only where the algorithm is hdbscan; "
        "here the algorithm is label_propagation (auto takes it)"
    )


def test_nothing_is_named_where_everything_acts_or_is_as_by_default() -> None:
    for level in LEVELS:
        assert idle(level, RunSettings().model_dump(mode="json")) == []
    assert idle("events", {"algorithm": "hdbscan", "hdbscan.min_cluster_size": 4}) == []


def test_until_the_items_are_counted_a_setting_of_either_algorithm_may_act() -> None:
    of_either = {"label_propagation.edge_similarity": 0.7, "agglomerative.trim_size": 5}
    assert idle("documents", of_either, None) == []
    assert idle("documents", of_either, LARGE) == ["label_propagation.edge_similarity"]
    assert idle("documents", of_either, LARGE + 1) == ["agglomerative.trim_size"]
    [found] = idle_before(run_settings({"kmeans.k": 9}), LEVELS["documents"], None)
    assert "the algorithm is agglomerative or label_propagation" in found.reason


EVENTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("merge.join_similarity", {"merge.join_similarity": 0.9},
     {"scope": "domain", "merge.join": "mutual_best"}),
    ("input.copy_wait_seconds", {"input.copy_wait_seconds": 9, "input.copy_attempts": 1},
     {"input.copy_attempts": 2}),
    ("filter.keep_undated", {"filter.keep_undated": False}, {"filter.since": "2026-01-01"}),
    ("neighbours.probes", {"neighbours.probes": 40}, {"neighbours.exact_rows": 100}),
    ("neighbours.float16", {"neighbours.float16": True, "neighbours.device": "cpu"},
     {"neighbours.device": "auto"}),
    ("evidence.context_weight", {"evidence.context": False, "evidence.context_weight": 0.3},
     {"evidence.context": True}),
    ("evidence.document_weight", {"evidence.context": False, "evidence.document_weight": 0.3},
     {"evidence.context": True}),
    ("evidence.story_penalty_factor",
     {"evidence.story_penalty_factor": 2, "evidence.story_similarity_floor": 0},
     {"evidence.story_similarity_floor": 0.5}),
    ("evidence.check", {"algorithm": "hdbscan", "evidence.check": False},
     {"evidence.mention_weight": 0.2}),
    ("evidence.context", {"algorithm": "hdbscan", "evidence.context": False},
     {"evidence.context_weight": 0.2}),
    ("alerts.min_evidence_factor",
     {"alerts.min_evidence_factor": 0.5, "evidence.check": False}, {"evidence.check": True}),
    ("temporal.decay_days", {"temporal.decay_days": 3}, {"temporal.decay": True}),
    ("temporal.on_gap", {"temporal.on_gap": "penalise"}, {"temporal.max_gap_days": 3}),
    ("agglomerative.max_component",
     {"algorithm": "agglomerative", "agglomerative.max_component": 9},
     {"agglomerative.linkage": "complete"}),
    ("agglomerative.trim_similarity",
     {"algorithm": "agglomerative", "agglomerative.trim_similarity": 0.5,
      "agglomerative.trim_size": 1}, {"agglomerative.trim_size": 3}),
    ("kmeans.trim_similarity",
     {"algorithm": "kmeans", "kmeans.trim_similarity": 0.5, "kmeans.trim_size": 1},
     {"kmeans.trim_size": 3}),
    ("kmeans.estimate", {"algorithm": "kmeans", "kmeans.estimate": "elbow", "kmeans.k": 3},
     {"kmeans.k": None}),
    ("label_propagation.neighbours",
     {"label_propagation.neighbours": 100, "neighbours.k": 20}, {"neighbours.k": 50}),
    ("outliers.threshold", {"outliers.threshold": 0.7}, {"outliers.policy": "nearest"}),
    ("publish.allow_empty", {"publish.allow_empty": True, "publish.min_clusters": 1},
     {"publish.min_clusters": 0}),
    ("llm.max_requests", {"llm.max_requests": 9, "llm.labels": False}, {"llm.labels": True}),
    ("scope", {"scope": "domain", "filter.domains": "diplomatic"},
     {"filter.domains": "diplomatic,military"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "chosen", "mended"), EVENTS, ids=[case[0] for case in EVENTS])
def test_the_other_setting_of_a_pair_decides(
    name: str, chosen: dict[str, Any], mended: dict[str, Any]
) -> None:
    assert name in idle("events", chosen)
    assert name not in idle("events", chosen | mended)


@pytest.mark.parametrize(
    ("name", "chosen", "other"),
    [
        ("scope", {"scope": "domain"}, "entities"),
        ("merge.join", {"scope": "domain", "merge.join": "mutual_best"}, "documents"),
        ("parts.by", {"scope": "domain", "parts.by": "domain_event_type"}, "documents"),
        ("parts.by", {"parts.by": "event_type"}, "storylines"),
        ("evidence.sentence_penalty", {"evidence.sentence_penalty": 0.3}, "storylines"),
        ("evidence.story_penalty_factor", {"evidence.story_penalty_factor": 2}, "documents"),
        ("llm.labels", {"llm.labels": True}, "entities"),
    ],
)
def test_the_level_decides(name: str, chosen: dict[str, Any], other: str) -> None:
    assert name in idle(other, chosen)
    assert name not in idle("events", chosen)


@pytest.mark.parametrize(
    ("level", "chosen", "because"),
    [
        ("events", {"algorithm": "kmeans"}, "the algorithm is kmeans"),
        ("events", {"scope": "domain"}, "scope is domain"),
        ("documents", {"agglomerative.clusters": 9}, "agglomerative.clusters is 9"),
        ("entities", {"algorithm": "agglomerative"}, "the level is entities"),
    ],
)
@pytest.mark.parametrize("mode", ["incremental", "auto"])
def test_a_run_that_cannot_be_continued_says_so_of_its_mode(
    level: str, chosen: dict[str, Any], because: str, mode: str
) -> None:
    settings = run_settings(chosen | {"mode": mode, "incremental.vote_similarity": 0.5})
    found = {each.setting: each.reason for each in idle_before(settings, LEVELS[level], 5000)}
    assert found.keys() == {"mode", "incremental.vote_similarity"}
    assert because in found["mode"]


@pytest.mark.parametrize(
    ("level", "chosen"),
    [
        ("events", {}),
        ("documents", {}),
        ("documents", {"algorithm": "agglomerative"}),
        ("entities", {"algorithm": "agglomerative", "agglomerative.cut_similarity": 0.5}),
        ("entities", {"algorithm": "hdbscan"}),
    ],
)
def test_a_run_that_can_be_continued_says_nothing(level: str, chosen: dict[str, Any]) -> None:
    assert idle(level, chosen | {"mode": "incremental"}) == []


def test_a_run_without_database_or_map_has_no_use_for_their_settings() -> None:
    chosen = {"alerts.history": 9, "publish.max_coverage_drop": 0.2, "map.members": 5}
    assert idle("events", chosen) == []
    assert sorted(idle("events", chosen, database=False, map=False)) == sorted(chosen)


def test_a_run_without_a_language_model_has_no_use_for_its_settings() -> None:
    chosen = {"llm.labels": True, "llm.max_requests": 9}
    assert idle("events", chosen) == []
    assert sorted(idle("events", chosen, llm=False)) == sorted(chosen)


def test_the_neighbour_search_that_was_made_decides() -> None:
    settings = run_settings({"neighbours.float16": True, "neighbours.probes": 9})

    def named(*ways: str) -> list[str]:
        here = Circumstances(LEVELS["events"], "label_propagation", 10**6, searches=frozenset(ways))
        return [each.setting for each in idle_settings(settings, here)]

    assert named("cells") == ["neighbours.float16"]
    assert named("gpu") == ["neighbours.probes"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"evidence.story_similarity_floor": 0, "evidence.context_weight": 0},
        {"evidence.story_similarity_floor": 0.5, "evidence.context_weight": 0.5},
        {"evidence.mention_weight": 0, "evidence.sentence_penalty": 0,
         "evidence.story_similarity_floor": 0},
        {"temporal.window_days": 3},
        {"temporal.decay": True},
    ],
)  # fmt: skip
def test_the_table_knows_what_the_method_decides(
    level: str, algorithm: str, chosen: dict[str, Any]
) -> None:
    settings = run_settings(chosen, {"algorithm": algorithm})
    method = resolve_method(settings, LEVELS[level], 5000)
    here = Circumstances(LEVELS[level], algorithm)
    assert compares_stories(settings, here) == (method.weights.story_similarity_floor > 0)
    assert mixes_context(settings, here) == (method.context_weight > 0)
    assert has_evidence(settings, here) == method.weights.any()


def test_the_rules_name_settings_that_there_are() -> None:
    known = set(known_names())
    for rule in RULES:
        groups = {f"{name.partition('.')[0]}.*" for name in known}
        assert set(rule.names) <= known | groups
        assert set(rule.because) <= known | {"level", "algorithm", "items"}
    for algorithm in ALGORITHMS:
        assert list(rules_of(f"{algorithm}.x"))


@pytest.mark.parametrize(
    "path", ["README.md", "plugins/stage4/tasks/level_page.py", "dags/upstream_example.py"]
)
def test_no_example_chooses_a_setting_without_effect(path: str) -> None:
    text = (REPO / path).read_text(encoding="utf-8")
    examples = re.findall(r'"conf": (\{(?:[^{}]|\{[^{}]*\})*\})', text)
    assert examples
    for found in examples:
        settings = run_settings(json.loads(found))
        assert list(changed(settings))
        assert [str(each) for each in idle_before(settings, LEVELS["events"], None)] == []


def test_a_setting_that_is_described_as_conditional_has_a_rule() -> None:
    page = run_params(LEVELS["events"])
    conditional = re.compile(
        r"\bOnly (with|on|where)\b|no effect|No effect|Not on the command line"
    )
    named = [name for name in known_names() if conditional.search(page[name].description or "")]
    assert len(named) > 10
    # Refused where the other setting is missing: they never get as far as having no effect.
    refused = {"allow_partial", "input.table", "outliers.target_share", "publish.max_drift"}
    assert [name for name in named if not list(rules_of(name)) and name not in refused] == []
