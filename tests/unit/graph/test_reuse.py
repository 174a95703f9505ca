"""Nodes are known again by vector and facts, and rows of the graph taken over."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import F32
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.unit_rows import Digests, digest_rows
from clustering_tasks.graph.features import DocumentVectors, Features
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.reuse import (
    NodeKeys,
    fact_digests,
    load_node_keys,
    node_digests,
    reused_rows,
    same_blocks,
    same_nodes,
)
from clustering_tasks.workspace.vector_files import open_vectors, write_vectors
from tests.stage3_folder import DIMENSION, scattered

RNG = np.random.default_rng(0)


def test_nodes_are_found_by_vector_in_their_block_alone() -> None:
    before = scattered(20)
    order = RNG.permutation(20)
    now = np.concatenate([before[order], scattered(3, seed=9)])
    blocks = np.zeros(20, dtype=np.int32)
    digests = digest_rows(before)
    found = same_nodes(digest_rows(now), np.zeros(23, dtype=np.int64), digests, blocks)
    assert found.tolist() == [*order, -1, -1, -1]
    other = same_nodes(digest_rows(now), np.full(23, 1), digests, blocks)
    assert (other == -1).all()


def test_of_two_nodes_with_one_vector_one_is_known() -> None:
    digests = digest_rows(scattered(2)[[0, 0, 1]])
    found = same_nodes(digests, np.zeros(3, np.int64), digests[[0]], np.zeros(1, np.int32))
    assert found.tolist() == [0, -1, -1]


def test_without_a_former_node_all_are_new() -> None:
    digests = digest_rows(scattered(3))
    nothing = np.empty((0, 2), np.uint64), np.empty(0, np.int32)
    assert same_nodes(digests, np.zeros(3, np.int64), *nothing).tolist() == [-1, -1, -1]


def test_other_facts_make_another_node(tmp_path: Path) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    columns = {"mention": ["a", None, "a"], "sentence": [None, "a", "a"], "time": [day, None, day]}
    names, path = list(columns), UPath(tmp_path / "items.parquet")

    def digests(**changed: list[Any]) -> npt.NDArray[np.uint64]:
        types = {"mention": pa.string(), "sentence": pa.string(), "time": pa.timestamp("us", "UTC")}
        both = columns | changed
        pq.write_table(pa.table({n: pa.array(both[n], types[n]) for n in names}), path)
        return fact_digests(path, names)

    first = digests()
    assert len({*first.tolist()}) == 3
    assert (digests() == first).all()
    assert (digests(mention=["b", None, "a"]) != first).tolist() == [True, False, False]
    assert (digests(time=[day, day, day]) != first).tolist() == [False, True, False]


def test_a_node_is_another_with_another_vector_context_or_facts(tmp_path: Path) -> None:
    rows, facts = digest_rows(scattered(3)), np.array([5, 6, 7], np.uint64)
    each = np.arange(3, dtype=np.int32)
    nodes = Nodes(np.arange(3), each, each * 0, each * 0, each, np.array(["all"]))
    write_vectors(UPath(tmp_path / "vectors.npy"), (3, DIMENSION), [scattered(3)])

    def digests(context: F32, weight: float, facts: npt.NDArray[np.uint64] | None) -> Digests:
        documents = DocumentVectors(context, np.array([0, 1, -1], np.int32))
        with open_vectors(UPath(tmp_path / "vectors.npy")) as file:
            mean = np.zeros(DIMENSION, np.float32)
            features = Features(file, np.arange(3), documents, weight, mean)
            return node_digests(rows, nodes, features, facts)

    context, other = scattered(2, seed=1), scattered(2, seed=1)
    other[0] = scattered(1, seed=2)
    assert (digests(context, 0, None) == rows).all()
    first = digests(context, 0.5, facts)
    assert (first != rows).tolist() == [[True, True], [True, True], [True, False]]
    changed = (digests(other, 0.5, facts) != first).any(axis=1)
    assert changed.tolist() == [True, False, False]
    changed = (digests(context, 0.5, facts + np.uint64(1)) != first).any(axis=1)
    assert changed.all()
    # a vector and the same one as its context make no digest that others have
    own = digests(scattered(3)[:2], 0.5, None)
    assert len({*map(tuple, own.tolist())}) == 3


def test_blocks_are_known_by_name() -> None:
    assert same_blocks(np.array(["ORG", "PER", "GPE"]), np.array(["GPE", "PER"])).tolist() == [
        -1,
        1,
        0,
    ]


def test_keys_are_read_as_they_were_written(tmp_path: Path) -> None:
    keys = NodeKeys(
        digest_rows(scattered(3)),
        np.array(["a", "b"]),
        np.ones(16, np.float32),
        0.37,
        {1: scattered(2)},
    )
    keys.save(UPath(tmp_path / "keys.npz"))
    read = load_node_keys(UPath(tmp_path / "keys.npz"))
    assert (read.digests == keys.digests).all()
    assert read.block_names.tolist() == ["a", "b"]
    assert read.context_weight == 0.37
    assert read.centres.keys() == {1}
    assert (read.centres[1] == keys.centres[1]).all()


def graph_of(vectors: np.ndarray, k: int = 8) -> Graph:
    found = exact_neighbours(vectors, 0, len(vectors), k)
    return Graph(found.ids, found.distances, np.ones(len(vectors), dtype=bool))


def test_rows_without_what_is_gone_are_the_nearest_of_the_rest() -> None:
    vectors = scattered(60)
    stays = np.sort(RNG.permutation(60)[:48])
    former = np.concatenate([stays, [-1]]).astype(np.int32)
    rows = reused_rows(graph_of(vectors), former)
    assert (rows.graph.ids[-1] == -1).all()
    assert rows.search[-1]
    true = graph_of(vectors[stays]).ids
    for row, (ids, distances) in enumerate(
        zip(rows.graph.ids[:-1], rows.graph.distances[:-1], strict=True)
    ):
        kept = ids >= 0
        count = int(kept.sum())
        assert kept[:count].all()  # at the beginning
        assert np.isinf(distances[count:]).all()
        assert ids[:count].tolist() == true[row, :count].tolist()
        assert rows.search[row] == (count < 6)
        assert rows.short[row] == (count < 8)
    assert rows.search[:-1].any()
    assert not rows.search[:-1].all()


def test_a_row_that_never_had_k_neighbours_is_not_searched_again() -> None:
    rows = reused_rows(graph_of(scattered(5)), np.arange(5, dtype=np.int32))
    assert not rows.search.any()
