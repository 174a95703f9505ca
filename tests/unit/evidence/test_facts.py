"""What is known of a node from the items that it stands for."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from clustering_tasks.evidence.facts import sentences, shared_code
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.time_ranges import node_spans

TIME = pa.timestamp("us", tz="UTC")


def nodes(*node_of_row: int) -> Nodes:
    of_row = np.array(node_of_row, dtype=np.int32)
    count = int(of_row.max()) + 1
    number = np.zeros(count, dtype=np.int32)
    row = np.array([node_of_row.index(node) for node in range(count)])
    weight = np.bincount(of_row[of_row >= 0]).astype(np.int32)
    return Nodes(row, weight, number, number, of_row, np.array(["all"]))


def day(number: int | None) -> datetime | None:
    return None if number is None else datetime(1970, 1, number + 1, 12, tzinfo=UTC)


def test_a_nodes_dates_are_the_hull_of_its_items() -> None:
    starts, ends = [5, None, 2, 7, None], [6, None, 3, 9, None]
    items = pa.table(
        {
            "start_time": pa.array(map(day, starts), TIME),
            "end_time": pa.array(map(day, ends), TIME),
        }
    )
    found = node_spans(items, nodes(0, 0, 0, 1, 2))
    np.testing.assert_array_equal(found, [[2.5, 6.5], [7.5, 9.5], [np.nan, np.nan]])
    without = node_spans(items, nodes(0, 1, -1, -1, 1))
    np.testing.assert_array_equal(without, [[5.5, 6.5], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (["health", "health", "legal"], [True, True]),
        (["health", None, "legal"], [True, True]),
        (["health", "legal", "legal"], [False, True]),
        ([None, None, "legal"], [False, True]),
    ],
)
def test_a_kind_is_known_where_all_items_that_have_one_agree(
    values: list[str | None], known: list[bool]
) -> None:
    found = shared_code(pa.chunked_array([pa.array(values, pa.string())]), nodes(0, 0, 1))
    assert (found >= 0).tolist() == known
    assert found[1] != found[0]


def test_kinds_without_any_value_are_unknown() -> None:
    nothing = pa.chunked_array([pa.array([None, None], pa.string())])
    assert shared_code(nothing, nodes(0, 1)).tolist() == [-1, -1]


def test_a_sentence_is_one_of_a_document() -> None:
    documents = ["a", "a", "b", "a", None, "b"]
    texts = ["He fell.", "He fell.", "He fell.", "She rose.", "He fell.", None]
    columns = (pa.chunked_array([pa.array(values, pa.string())]) for values in (documents, texts))
    found = sentences(*columns)
    assert found[0] == found[1]
    assert len({found[0], found[2], found[3]}) == 3
    assert found[4] == found[5] == -1
