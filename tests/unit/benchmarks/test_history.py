"""The history of figures, what it calls a regression, and the page that is made of it."""

from pathlib import Path

import pytest

from tests.benchmarks import contenders
from tests.benchmarks.history import (
    SEARCHES,
    Entry,
    Figure,
    add,
    new_entry,
    newest,
    read,
    regressions,
    without_quality,
)
from tests.benchmarks.report import PAGE as DOCUMENT
from tests.benchmarks.report import filled
from tests.benchmarks.tables import TABLES
from tests.benchmarks.world import GENERATOR

HERE, ELSEWHERE = "one machine", "another machine"


def entry(
    figures: dict[str, Figure],
    machine: str = HERE,
    date: str = "2026-11-20",
    generator: int | None = GENERATOR,
) -> Entry:
    return Entry(
        date=date,
        commit="abc1234",
        machine=machine,
        load=1,
        figures=figures,
        generator=generator,
    )


def worse(name: str, *values: float) -> bool:
    return bool(list(regressions([entry({name: value}) for value in values])))


def test_what_was_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read(path) == []
    first = new_entry({"a/f1": 0.5, "a/peer": "EVoC", "a/gains": [0.1, -0.2], "a/none": None}, 2.04)
    add(first, path)
    add(entry({"a/f1": 0.6}), path)
    assert read(path)[0] == first
    assert len(read(path)) == len(path.read_text().splitlines()) == 2
    assert first.load == 2
    assert first.commit
    assert "cores" in first.machine


def test_the_newest_figure_counts_wherever_it_is() -> None:
    entries = [entry({"q/a": 1, "q/b": 2, "r/a": 9}), entry({"q/a": 3})]
    found = newest(entries, "q")
    assert {name: value for name, (value, _) in found.items()} == {"a": 3, "b": 2}
    assert found["a"][1] is entries[1]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("quality/x/ours/f1", (0.8, 0.79), True),
        ("quality/x/ours/f1", (0.8, 0.797), False),
        ("quality/x/ours/f1", (0.8, 0.9), False),
        ("quality/x/peer/hdbscan", (0.8, 0.1), False),
        ("speed/5/ours/cpu_seconds", (1, 1.2), False),
        ("speed/5/ours/cpu_seconds", (1, 1.4), True),
        ("speed/5/ours/seconds", (1, 9), False),
        ("speed/5/ours, hdbscan/peak_mb", (100, 120), True),
        ("speed/5/EVoC/peak_mb", (100, 900), False),
        ("speed/5/ours, hdbscan/permuted_ari", (1, 0.98), True),
        ("speed/5/ours/recall16", (0.98, 0.97), True),
        # with the median of those before, so that one slow run does not hide the next
        ("speed/5/ours/cpu_seconds", (1, 1, 5, 1.4), True),
        ("speed/5/ours/cpu_seconds", (1,), False),
    ],
)
def test_a_regression_is_what_is_worse_than_noise(
    name: str, values: tuple[float, ...], expected: bool
) -> None:
    assert worse(name, *values) is expected


def test_costs_are_compared_on_one_machine_and_scores_on_all() -> None:
    name = "speed/5/ours/cpu_seconds"
    assert not list(regressions([entry({name: 1}), entry({name: 9}, ELSEWHERE)]))
    name = "quality/x/ours/f1"
    (found,) = regressions([entry({name: 0.8}), entry({name: 0.7}, ELSEWHERE)])
    assert str(found) == "quality/x/ours/f1: 0.8, now 0.7"


FIGURES: dict[str, Figure] = {
    "quality/news/documents/items": 1234,
    **{f"quality/news/documents/ours/{name}": 0.8125 for name in ("f1", "precision", "recall")},
    "quality/news/documents/peer/EVoC": 0.5,
    "quality/news/documents/peer/hdbscan (5, 3)": 0.75,
    "bootstraps/draws": 2,
    "bootstraps/events/ours/f1": 0.7,
    "bootstraps/events/peer": "EVoC",
    "bootstraps/events/peer_f1": 0.6,
    "bootstraps/events/ours/gain": 0.1,
    "bootstraps/events/ours/low": -0.05,
    "bootstraps/events/ours/high": 0.2,
    "bootstraps/events/gains": [-0.05, 0.2],
    **{
        f"thinned/news events/0.7/{name}": value
        for name, value in (
            ("items", 12.5),
            ("ours/f1", 0.7),
            ("peer", "EVoC"),
            ("peer_f1", 0.6),
            ("ours/gain", 0.1),
            ("ours/low", -0.05),
            ("ours/high", 0.2),
            ("gains", [-0.05, 0.2, 0.1]),
        )
    },
    **{
        f"robustness/news, half/{seed}/{name}": value
        for seed, ours in ((0, 0.9), (1, 0.7))
        for name, value in (("items", 10), ("ours/f1", ours), ("peer", "EVoC"), ("peer_f1", 0.75))
    },
    "robustness/sample of 9 documents, entities/0/items": 99_000,
    "robustness/sample of 9 documents, entities/0/ours/f1": 0.9,
    "robustness/sample of 9 documents, entities/0/peer": None,
    "robustness/sample of 9 documents, entities/0/peer_f1": None,
    **{
        f"speed/{n}/{name}/{figure}": value
        for n, name, seconds in (
            (5000, "ours", 2.0),
            (5000, "hdbscan", 50.0),
            (10_000, "ours", 4.0),
        )
        for figure, value in (
            ("seconds", seconds),
            ("cpu_seconds", 3),
            ("peak_mb", 500),
            ("runs", 3),
            ("f1", 0.625),
            ("precision", 0.5),
            ("recall", 0.8125),
            ("coverage", 0.975),
        )
    },
    **{
        f"speed/5000/FAISS flat/{figure}": value
        for figure, value in (
            ("seconds", 1.0),
            ("cpu_seconds", 2.0),
            ("peak_mb", 99),
            ("runs", 3),
            ("recall16", 0.98),
        )
    },
    **{
        f"speed/5000/ours/{step}_seconds": 0.4
        for step in ("snapshot", "plan", "cluster", "merge", "label")
    },
    "speed/5000/hdbscan/permuted_ari": 0.985,
    **{
        f"generated/{name}/{figure}": value
        for name in ("events", "digests 50%")
        for figure, value in (
            ("level", "events"),
            ("items", 5000),
            ("clusters", 321),
            ("lone", 0.2),
            ("largest", 77),
            ("ours/f1", 0.75),
            ("ours/precision", 0.8),
            ("ours/recall", 0.7),
            ("ours/coverage", 0.9),
            ("ours without documents/f1", 0.8),
            ("ours hdbscan/f1", 0.5),
            ("peers/EVoC", 0.6),
        )
    },
    "time/news documents/0.7/two years/off/f1": 0.5,
    "time/news documents/0.7/two years/decay 90/f1": 0.625,
    "store/1000/clusters": 20,
    **{f"store/1000/load/{name}_seconds": 1.5 for name in ("all", "copy", "check", "index")},
    "store/1000/load/graph_seconds": 0.25,
    "store/1000/table/members/mb": 700.2,
    "store/1000/table/clusters/mb": 100,
    "store/1000/index/clusters_neighbours/mb": 39,
    "store/1000/vector/mb": 78,
    **{
        f"store/1000/{kind}/ef{ef}/{figure}": value
        for kind in ("halfvec", "vector")
        for ef in (40, 100, 200)
        for figure, value in (("recall10", 0.985), ("ms", 0.51))
    },
    "store/1000/exact/ms": 75,
    "store/1000/planning/view_ms": 90,
    "store/1000/planning/partition_ms": 0.2,
    **{
        f"api/1000/redis/item{part}/{percentile}_ms": value
        for part, values in (("", (5, 10, 33)), (" (endpoint)", (2, 6, 1234)))
        for percentile, value in zip(("p50", "p95", "p99"), values, strict=True)
    },
    "api/1000/redis/saturated/all_per_second": 298.4,
    "api/1000/redis/saturated/empty_per_second": 697,
    **{
        f"identity/news by day events/{name}": value
        for name, value in {
            "idf1": 0.9,
            "idf1_of_best": 0.99,
            "story_days": 1200,
            "switches": 3,
            "kept": 0.98,
            "goes_on": 1100,
            "moved": 0,
            "told": None,
            "merges_and_splits": 0,
            "relabelled": 0.01,
        }.items()
    },
}
PAGE = "".join(
    f"# {name}\n\n<!-- bench:{name} -->\nFORMER\n<!-- /bench:{name} -->\n\n" for name in TABLES
)


def test_the_page_says_what_the_figures_say() -> None:
    page = filled(PAGE, [entry(FIGURES)])
    assert "FORMER" not in page
    assert "| item | PostgreSQL and Redis | 5 | 10 | 33 | 2 | 6 | 1,234 |" in page
    assert "| PostgreSQL and Redis | 298 | 697 |" in page
    assert "| news by day | events | 0.900 | **0.990** | 1,200 | 3 | **0.980** of 1,100 |" in page
    assert "| news documents | 70% | two years | 0.500 | - | - | - | 0.625 | - |" in page
    shown = "0.750 | - | - | 0.500 | -"
    assert f"| news | documents | 1,234 | **0.812** (0.81 / 0.81) | {shown} |" in page
    assert "0.750 (hdbscan (5, 3)) |" in page
    assert "| events | 0.700 | 0.600 (EVoC) | **+0.100** | -0.050 to +0.200 | 1 of 2 |" in page
    assert (
        "| news events | 70% | 12 | 0.700 | 0.600 (EVoC) | **+0.100** | -0.050 to +0.200 | 2 of 3 |"
    ) in page
    assert "| news, half | 2 | 10 | 0.800 | 0.750 (EVoC) | +0.050 | -0.050 |" in page
    assert "Mean over 1 variants of the real collections: **0.800**" in page
    assert "| sample of 9 documents, entities | 1 | 99,000 | 0.900 | - | - | - |" in page
    found = "events | 5,000 | 321 | 20% | 77 | **0.750** (0.80 / 0.70) | 0.900 | 0.800 | 0.500 |"
    assert f"| as it is | {found}" in page
    assert f"| digests 50% | {found} - | - | - | 0.600 | - | 0.600 (EVoC) |" in page
    found = "0.625 | 0.50 / 0.81 | 0.975"
    assert f"| 5,000 | hdbscan | 50.0 | 3.0 | 500 MB | 3 | 25.0 | {found} | - |" in page
    assert "| 5,000 | FAISS flat | 1.0 | 2.0 | 99 MB | 3 | 0.5 | - | - | - | 0.980 |" in page
    assert "| 5,000 | ours | 0.4 | 0.4 | 0.4 | 0.4 | 0.4 | - | 0.625 | 0.975 | - |" in page
    assert "0.985 (5,000 items)" in page
    assert "| 1,000 | 20 | 1.5 | 1.5 | 1.5 | 1.5 | 0.2 | - | 800 | 39 | - | 90.0 | 0.2 |" in page
    assert "| 20 | halfvec | 39 | 0.985 (0.5 ms) | 0.985 (0.5 ms) | 0.985 (0.5 ms) |" in page
    assert "| 1,000 | index | `clusters_neighbours` | 39 |" in page
    assert "Measured 2026-11-20, commit abc1234, on one machine; load at the beginning 1.0." in page
    assert filled(page, [entry(FIGURES)]) == page


def test_a_section_without_figures_stays() -> None:
    assert filled(PAGE, []) == PAGE
    assert filled(PAGE, [entry({"speed/5/EVoC/noise": 1})]).count("FORMER") == len(TABLES) - 2


TIMED: dict[str, Figure] = {"speed/5/EVoC/seconds": 2.0, "speed/5/EVoC/cpu_seconds": 2.0}


@pytest.mark.parametrize(
    "quality",
    [
        {},
        {"speed/5/EVoC/f1": 0.5},
        {"speed/5/EVoC/coverage": 0.5},
        {"speed/5/EVoC/f1": 0.5, "speed/5/EVoC/coverage": None},
        {"speed/5/EVoC/f1": float("nan"), "speed/5/EVoC/coverage": 0.5},
        {"speed/5/EVoC/recall16": 1.0},
        {"speed/5/ours/f1": 0.5, "speed/5/ours/coverage": 0.5},
    ],
)
def test_a_time_without_its_quality_does_not_enter_the_history(
    tmp_path: Path, quality: dict[str, Figure]
) -> None:
    path = tmp_path / "history.jsonl"
    with pytest.raises(ValueError, match="speed/5/EVoC: seconds without f1 and coverage"):
        add(entry({**TIMED, **quality}), path)
    assert not path.exists()


def test_a_time_with_its_quality_does(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    add(entry({**TIMED, "speed/5/EVoC/f1": 0.5, "speed/5/EVoC/coverage": 0.5}), path)
    add(entry({"speed/5/FAISS flat/seconds": 1.0, "speed/5/FAISS flat/recall16": 0.9}), path)
    assert len(read(path)) == 2
    assert set(contenders.SEARCHES) == SEARCHES


def test_figures_of_another_generator_do_not_count() -> None:
    old = entry({"speed/5/ours/cpu_seconds": 1, "quality/x/ours/f1": 0.8}, generator=None)
    now = entry({"speed/5/ours/cpu_seconds": 9, "speed/6/ours/cpu_seconds": 9})
    assert newest([old], "speed") == {}
    assert newest([old, now], "speed")["5/ours/cpu_seconds"][0] == 9
    assert newest([old, now], "quality")["x/ours/f1"][0] == 0.8
    assert not list(regressions([old, now]))


def test_every_measured_time_has_its_quality() -> None:
    entries = [one for one in read() if one.generator == GENERATOR]
    assert [without_quality(one.figures) for one in entries] == [[] for _ in entries]
    figures = {f"speed/{path}": value for path, (value, _) in newest(read(), "speed").items()}
    assert figures, "the history has no times of this version of the generator"
    assert without_quality(figures) == []


# Sections of the page whose tables time clusterings; the others time files, databases, answers.
TIMES_OF_CLUSTERINGS = ("Speed and memory", "The same files after a change of the code alone")


@pytest.mark.parametrize("title", TIMES_OF_CLUSTERINGS)
def test_every_time_on_the_page_has_its_quality(title: str) -> None:
    section = DOCUMENT.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    tables = [block for block in section.split("\n\n") if block.startswith("| ")]
    rows = [row for table in tables for row in cells_of(table)]
    assert rows
    for row in rows:
        search = row.get("contender") in SEARCHES
        needed = ("recall@16",) if search else ("B-cubed F1", "coverage")
        assert all(row.get(name, "-")[0].isdigit() for name in needed), row


def cells_of(table: str) -> list[dict[str, str]]:
    """Rows of a table in Markdown, by the names of its columns."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:1] == "|"]
    return [dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]]
