"""Items without a type, beside others of their mention and beside their neighbours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from clustering_tasks.arrays import F32
from clustering_tasks.graph.missing_types import fill_missing_types
from clustering_tasks.workspace.vector_files import open_vectors, write_vectors
from tests.stage3_folder import blobs, scattered


def filled(
    folder: Path, types: list[str | None], mentions: list[str | None], vectors: F32 | None = None
) -> list[str | None]:
    vectors = scattered(len(types)) if vectors is None else vectors
    path = UPath(folder / "vectors.npy")
    write_vectors(path, (len(vectors), vectors.shape[1]), [vectors])
    with open_vectors(path) as file:
        found = fill_missing_types(pd.Series(types, dtype="str"), mentions, file)
    assert found.dtype == "str"
    return [None if pd.isna(each) else each for each in found]


@pytest.mark.parametrize(
    ("types", "mentions", "expected"),
    [
        (["ORG", None], ["Bank", "Bank"], ["ORG", "ORG"]),
        (["ORG", None], ["Bank", " BANK"[1:]], ["ORG", "ORG"]),
        (["ORG", "ORG", "PER", None], ["Bank"] * 4, ["ORG", "ORG", "PER", "ORG"]),
        ([None, None], ["Bank", "Bank"], [None, None]),
        (["ORG", "PER"], ["Bank", "Bank"], ["ORG", "PER"]),
        (["ORG", None, None, None], ["Bank", "Paris", "Rome", None], ["ORG", None, None, None]),
        ([], [], []),
    ],
)
def test_a_mention_has_the_type_that_most_of_it_have(
    tmp_path: Path,
    types: list[str | None],
    mentions: list[str | None],
    expected: list[str | None],
) -> None:
    assert filled(tmp_path, types, mentions) == expected


def test_a_mention_that_nobody_typed_has_the_type_of_its_neighbours(tmp_path: Path) -> None:
    types = ["ORG"] * 5 + [None] + ["PER"] * 5 + [None, None]
    mentions = [*["ECB"] * 5, "the bank", *["Merkel"] * 5, None, "the chancellor"]
    expected = ["ORG"] * 6 + ["PER"] * 7
    assert filled(tmp_path, types, list(mentions), blobs([6, 7])) == expected


def test_a_draw_of_types_is_decided_by_neighbours(tmp_path: Path) -> None:
    types = ["ORG", "PER", None, "PER", "PER", "PER"]
    mentions: list[str | None] = ["Bank", "Bank", "Bank", "x", "y", "z"]
    assert filled(tmp_path, types, mentions, blobs([6]))[2] == "PER"


def test_neighbours_that_disagree_say_nothing(tmp_path: Path) -> None:
    types = ["ORG", "ORG", "PER", "PER", "LOC", None]
    assert filled(tmp_path, types, [*"abcdef"], blobs([6]))[5] is None


def test_all_items_of_a_mention_get_one_type(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    types: list[str | None] = [*["ORG", "PER"] * 20, *[None] * 20]
    mentions = [*map(str, range(40)), *["one", "two"] * 10]
    vectors = blobs([30, 30])[rng.permutation(60)]
    found = filled(tmp_path, types, [*mentions], vectors)[40:]
    assert len(set(found[::2])) == len(set(found[1::2])) == 1
