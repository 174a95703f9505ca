"""Near-duplicates within a cluster, and what is said only once."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.steps.label.copies import (
    different,
    near_duplicates_of,
    once_each,
    without_copies,
)
from clustering_tasks.steps.label.members import Columns

Row = tuple[str, datetime | None, int, float, int]  # id, date, group, probability, cluster
DAYS = [None, *(datetime(2026, 3, day) for day in (1, 2, 3))]  # noqa: DTZ001 - as read from files
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "é"]),
        st.sampled_from(DAYS),
        st.integers(0, 3),
        st.sampled_from([0.5, 1.0]),
        st.integers(-1, 2),
    ),
    max_size=14,
)


def found(rows: list[Row]) -> list[str | None]:
    ids, dates, groups, sure, clusters = zip(*rows, strict=True) if rows else ([],) * 5
    columns = {
        "source_id": pa.array(ids, pa.string()),
        "start_time": pa.array(dates, pa.timestamp("us", "UTC")),
        "near_duplicate": pa.array(groups, pa.int32()),
        "probability": pa.array(sure, pa.float32()),
    }
    of: list[str | None] = near_duplicates_of(columns, np.array(clusters, np.int32)).to_pylist()
    return of


def test_the_earliest_stands_for_the_others_then_the_lowest_id() -> None:
    _, first, second, _ = DAYS
    assert found([("b", second, 0, 1, 0), ("c", first, 0, 1, 0), ("a", None, 0, 1, 0)]) == [
        *("c", None, "c")
    ]
    assert found([("b", None, 0, 1, 0), ("a", None, 0, 1, 0)]) == ["a", None]


def test_a_copy_is_of_a_member_of_its_own_cluster() -> None:
    assert found([("a", None, 0, 1, 0), ("b", None, 0, 1, 1)]) == [None, None]
    assert found([("a", None, 0, 1, -1), ("b", None, 0, 1, -1)]) == [None, None]


def test_no_item_is_a_copy_of_itself() -> None:
    assert found([("a", None, 0, 1, 0), ("a", None, 0, 0.5, 0)]) == [None, None]


def test_of_several_vectors_the_surest_counts_for_all() -> None:
    rows: list[Row] = [("b", None, 0, 0.5, 0), ("b", None, 1, 1, 0), ("a", None, 1, 1, 0)]
    assert found(rows) == ["a", "a", None]
    assert found([("b", None, 1, 0.5, 0), ("b", None, 0, 1, 0), ("a", None, 1, 1, 0)]) == [None] * 3


@given(ROWS)
def test_it_is_what_the_rule_says(rows: list[Row]) -> None:
    surest: dict[tuple[int, str], Row] = {}
    for row in rows:
        kept = surest.setdefault((row[4], row[0]), row)
        if row[3] > kept[3]:
            surest[row[4], row[0]] = row
    expected = []
    for name, *_, cluster in rows:
        own = surest[cluster, name]
        group = [each for each in surest.values() if (each[4], each[2]) == (cluster, own[2])]
        first = min(group, key=lambda each: (each[1] or datetime.max, each[0].encode()))  # noqa: DTZ901 - as above
        expected.append(None if cluster < 0 or first[0] == name else first[0])
    assert found(rows) == expected


@given(ROWS)
def test_what_is_counted_once_is_still_there(rows: list[Row]) -> None:
    clusters = np.array([row[4] for row in rows], dtype=np.int32)
    copies = pa.array(found(rows), pa.string())
    ids = pa.chunked_array([pa.array([row[0] for row in rows], pa.string())])
    once = without_copies(clusters, pa.chunked_array([copies]), ids, ids.cast(pa.string()))
    assert once.tolist() == clusters.tolist()  # all texts differ
    alike = pa.chunked_array([pa.array(["x"] * len(rows), pa.string())])
    once = without_copies(clusters, pa.chunked_array([copies]), ids, alike)
    assert set(once.tolist()) - {-1} == set(clusters.tolist()) - {-1}
    originals = {(c, row[0]) for c, row in zip(once.tolist(), rows, strict=True)}
    for cluster, of in zip(clusters.tolist(), copies.to_pylist(), strict=True):
        assert of is None or (cluster, of) in originals


def test_a_long_text_with_thousands_of_copies_is_compared() -> None:
    """Repeated for each copy it would be more than an array of Arrow holds."""
    count, long = 2200, "x" * 1_000_000
    ids = pa.chunked_array([pa.array([str(row) for row in range(count)])])
    copies = pa.chunked_array([pa.array([None, *["0"] * (count - 1)], pa.string())])
    texts = pa.chunked_array([pa.array([long, long, *["short"] * (count - 2)])])
    once = without_copies(np.zeros(count, dtype=np.int32), copies, ids, texts)
    assert once.tolist() == [0, -1, *[0] * (count - 2)]


def test_texts_in_several_pieces_are_compared() -> None:
    texts = pa.chunked_array([["One", None, "Two"], ["One", None, "Three"]])
    ids = pa.chunked_array([["a", "b", "c"], ["d", "e", "f"]])
    copies = pa.chunked_array([pa.nulls(3, pa.string()), pa.array(["a", "b", "c"])])
    once = without_copies(np.zeros(6, dtype=np.int32), copies, ids, texts)
    assert once.tolist() == [0, 0, 0, -1, 0, 0]


def members(
    texts: list[str | None], copies: list[str | None] | None = None, **more: list[str | None]
) -> Columns:
    columns: dict[str, list[Any]] = {
        "title": texts,
        "sentence": [None] * len(texts),
        "near_duplicate_of": copies or [None] * len(texts),
        **more,
    }
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


def shown(columns: Columns, level: str = "documents", most: int = 3) -> list[int]:
    rows = np.arange(len(columns["title"]))
    chosen: list[int] = different(columns, rows, level, most).tolist()
    return chosen


@pytest.mark.parametrize(
    "other",
    [
        "Storm hits Averil",
        "STORM HITS AVERIL",
        "Storm  hits Averil .",
        "\u201cStorm hits Averil\u201d",
    ],
)
def test_a_text_is_shown_once_however_it_is_written(other: str) -> None:
    assert shown(members(["Storm hits Averil", other, "Averil after the storm"])) == [0, 2]


def test_a_near_duplicate_is_shown_where_there_is_nothing_else() -> None:
    columns = members(["One", "One, update 1", "Two", "two"], [None, "a", None, "b"])
    assert shown(columns, most=2) == [0, 2]
    assert shown(columns) == [0, 1, 2]


def test_what_has_no_text_repeats_nothing() -> None:
    assert shown(members([None, None, "One", "", "One"]), most=5) == [0, 1, 2, 3]


def test_texts_of_signs_alone_are_compared_as_they_are() -> None:
    assert shown(members(["!!!", "???", "!!!"])) == [0, 1]


@pytest.mark.parametrize(("level", "rows"), [("events", [0, 2]), ("documents", [0, 1, 2])])
def test_of_events_the_sentence_is_what_they_say(level: str, rows: list[int]) -> None:
    columns = members(
        ["hit: Storm hits Averil", "storm: Storm hits Averil", "flood: Rain"],
        sentence=["Storm hits Averil", "Storm hits Averil", "Rain"],
    )
    assert shown(columns, level) == rows


WORDS = st.sampled_from([None, "", "One", "one", "One.", "Two", "two ", "\u00dcber", "\u00fcber"])


@given(st.lists(st.tuples(WORDS, st.booleans()), max_size=12), st.integers(1, 6))
def test_the_first_of_each_text_is_shown(told: list[tuple[str | None, bool]], most: int) -> None:
    texts = [text for text, _ in told]
    rows = shown(members(texts, ["x" if copied else None for _, copied in told]), most=most)
    assert rows == sorted(rows)

    def compared(row: int) -> str | int:
        return (texts[row] or "").strip(" .").lower() or -row

    assert len({compared(row) for row in rows}) == len(rows) <= most
    said = {compared(row) for row in rows}
    left = {compared(row) for row, (text, copied) in enumerate(told) if not copied}
    if any(told[row][1] for row in rows):
        assert left <= said
    if len(rows) < most:
        assert left <= said


def test_mentions_of_near_duplicates_count_once_unless_they_differ() -> None:
    columns = {
        "near_duplicate": np.array([0, 0, 0, 1]),
        "title": np.array(["Merkel", "Merkel", "Angela Merkel", "Merkel"], dtype=object),
    }
    assert once_each(columns) == ["Merkel", "Angela Merkel", "Merkel"]
