"""What is recommended is what `auto` chooses, unless the machine is too small for it."""

from dataclasses import replace

import pytest

from clustering_tasks.algorithms.costs import held_bytes, seconds
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.algorithms.recommendation import (
    Forecast,
    Machine,
    Recommendation,
    count_items,
    recommend,
    this_machine,
)
from clustering_tasks.errors import BadInputError, SettingsError
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from tests.stage3_folder import Stage3Folder, scattered

LARGE = Machine(memory_bytes=1 << 40, cores=8, product_seconds=1e-8, pair_seconds=3e-9)
SIZES = (0, 1, 1000, 80_000, 1_000_000)


def of(found: Recommendation, algorithm: str) -> Forecast:
    (forecast,) = [one for one in found.forecast if one.algorithm == algorithm]
    return forecast


@pytest.mark.parametrize("items", SIZES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_large_machine_gets_what_auto_chooses(level: str, items: int) -> None:
    settings = run_settings({"algorithm": "auto"})
    method = resolve_method(settings, LEVELS[level], items)
    found = recommend(settings, LEVELS[level], items, LARGE)
    assert (found.algorithm, found.reason) == (method.algorithm, method.reason)
    assert found.forecast[0].algorithm == found.algorithm
    assert {forecast.algorithm for forecast in found.forecast} == set(ALGORITHMS)
    assert all(forecast.fits for forecast in found.forecast)


def test_a_machine_that_is_too_small_gets_what_holds_less() -> None:
    settings, level = run_settings({"algorithm": "auto"}), LEVELS["documents"]
    needs = recommend(settings, level, 90_000, LARGE).forecast[0].memory_bytes
    found = recommend(settings, level, 90_000, replace(LARGE, memory_bytes=needs - 1))
    assert found.algorithm == "label_propagation"
    assert not of(found, "agglomerative").fits
    assert of(found, "label_propagation").fits
    have = f"{needs / 1e9:.1f} GB"
    assert found.reason == (
        f"agglomerative needs about {have}, {have} are there; label_propagation holds less"
    )


@pytest.mark.parametrize("level", LEVELS)
def test_a_machine_that_is_too_small_for_all_is_told_so(level: str) -> None:
    settings = run_settings({"algorithm": "auto"})
    found = recommend(settings, LEVELS[level], 90_000, replace(LARGE, memory_bytes=1000))
    assert found.algorithm == resolve_method(settings, LEVELS[level], 90_000).algorithm
    assert "larger machine, or scope=domain" in found.reason


def test_an_algorithm_that_is_asked_for_is_only_forecast() -> None:
    settings = run_settings({"algorithm": "kmeans"})
    found = recommend(settings, LEVELS["events"], 90_000, replace(LARGE, memory_bytes=1000))
    assert (found.algorithm, found.reason) == ("kmeans", "asked for")
    assert not found.forecast[0].fits


def test_a_filter_that_the_level_cannot_use_is_refused_here_too() -> None:
    settings = run_settings({"filter.entity_types": ["ORG"]})
    with pytest.raises(SettingsError, match=r"filter\.entity_types"):
        recommend(settings, LEVELS["documents"], 1000, LARGE)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_more_items_take_more(algorithm: str) -> None:
    settings = run_settings({"algorithm": algorithm})
    found = [
        recommend(settings, LEVELS["documents"], items, LARGE).forecast[0] for items in SIZES[1:]
    ]
    for name in ("memory_bytes", "seconds"):
        values = [getattr(forecast, name) for forecast in found]
        assert values == sorted(values)
        assert values[-1] > values[0]


def test_comparing_all_pairs_costs_their_square() -> None:
    plain = run_settings({})
    complete = run_settings({"agglomerative.linkage": "complete"})
    for nodes, pairs in ((1000, 1000**2), (50_000, 20_000**2)):
        more = held_bytes("agglomerative", complete, nodes, 768)
        assert more - held_bytes("agglomerative", plain, nodes, 768) == 4 * pairs
        slower = seconds("agglomerative", complete, nodes, 768, 1e-8)
        assert slower > seconds("agglomerative", plain, nodes, 768, 1e-8)


def test_a_number_of_clusters_makes_the_cost_of_k_means() -> None:
    few, many = (run_settings({"kmeans.k": k}) for k in (100, 1000))
    for nodes in (10_000, 1_000_000):
        cheap, dear = (seconds("kmeans", own, nodes, 768, 1e-8) for own in (few, many))
        assert dear > cheap


def test_this_machine_can_do_something() -> None:
    machine = this_machine(64)
    assert machine.memory_bytes > 0
    assert machine.cores > 0
    assert 0 < machine.product_seconds < 1e-3
    assert 0 < machine.pair_seconds < 1e-3


def test_items_are_counted_from_the_index_alone(stage3: Stage3Folder) -> None:
    stage3.write("events", scattered(37))
    stage3.metadata("events").write_text("never read")
    assert count_items(str(stage3.path), LEVELS["events"], 16) == 37
    with pytest.raises(BadInputError, match=r"input\.dimension=16"):
        count_items(str(stage3.path), LEVELS["events"], 768)
    with pytest.raises(SettingsError, match="--items"):
        count_items("memory://folder", LEVELS["events"], 16)
