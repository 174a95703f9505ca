"""The benchmarks' measures, by hand."""

from itertools import combinations, permutations
from math import isnan, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.contingency import contingency
from tests.benchmarks.measures import (
    MEASURES,
    Triple,
    b_cubed,
    ceaf_e,
    coverage,
    muc,
    pairwise,
    purity,
    scores,
    scores_of_labels,
    v_measure,
)

Found = list[str | None]


def by(name: str, gold: str, found: Found) -> Triple:
    return MEASURES[name](contingency(list(gold), found))


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


# gold {1, 2, 3}, {4, 5}, {6}; found {1, 2}, {3, 4, 5}, 6 is noise
GOLD = "aaabbc"
FOUND: Found = ["x", "x", "y", "y", "y", None]


@pytest.mark.parametrize("name", MEASURES)
def test_equal_clusterings_score_one(name: str) -> None:
    assert by(name, "aab", ["x", "x", None]) == (1, 1, 1)


def test_b_cubed_averages_over_items() -> None:
    # Bagga and Baldwin count per item: {1, 2} found together, 3 apart, gold says all three.
    score, precision, recall = by("b_cubed", "aaa", ["x", "x", None])
    assert precision == 1
    assert recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    assert score == pytest.approx(f1(1, recall))


def test_noise_items_are_not_one_cluster() -> None:
    assert by("b_cubed", "ab", [None, None])[1] == 1


def test_b_cubed_by_hand() -> None:
    precision = (1 + 1 + 1 / 3 + 2 / 3 + 2 / 3 + 1) / 6
    recall = (2 / 3 + 2 / 3 + 1 / 3 + 1 + 1 + 1) / 6
    expected = (f1(precision, recall), precision, recall)
    assert by("b_cubed", GOLD, FOUND) == pytest.approx(expected)


def test_pairs_by_hand() -> None:
    # in common: 1-2 and 4-5; found besides 3-4 and 3-5; gold besides 1-3 and 2-3
    assert by("pairwise", GOLD, FOUND) == pytest.approx((1 / 2, 2 / 4, 2 / 4))


def test_links_by_hand() -> None:
    # gold {1, 2, 3} is torn into two: one of its two links is kept; {4, 5} keeps its own
    assert by("muc", GOLD, FOUND) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_the_example_of_vilain() -> None:
    # key {A, B, C, D}, response {A, B}, {C, D}: two of three links
    score, precision, recall = by("muc", "aaaa", ["x", "x", "y", "y"])
    assert (precision, recall) == pytest.approx((1, 2 / 3))
    assert score == pytest.approx(0.8)


def test_matched_clusters_by_hand() -> None:
    # best: a with x (2 * 2 / 5), b with y (2 * 2 / 5), c with its own (1)
    total = 4 / 5 + 4 / 5 + 1
    assert by("ceaf_e", GOLD, FOUND) == pytest.approx((total / 3, total / 3, total / 3))


def test_matching_is_one_to_one_and_not_greedy() -> None:
    # a-x is the best single pair (2 * 3 / 7), but leaves b nothing: a-y and b-x together are more
    gold, found = "aaaaabb", ["x", "x", "x", "y", "y", "x", "x"]
    pair = {("a", "x"): 6 / 10, ("a", "y"): 4 / 7, ("b", "x"): 4 / 7, ("b", "y"): 0.0}
    best = max(
        sum(pair[g, f] for g, f in zip("ab", order, strict=True)) for order in permutations("xy")
    )
    assert best == pytest.approx(8 / 7)
    table = contingency(list(gold), found)
    assert ceaf_e(table) == pytest.approx((best / 2, best / 2, best / 2))


def test_conll_is_the_mean_of_three() -> None:
    found = scores(list(GOLD), FOUND)
    assert found["conll"] == pytest.approx((found["f1"] + found["muc"] + found["ceaf_e"]) / 3)


def test_v_measure_by_hand() -> None:
    # gold: two of two; found: all in one. Homogeneity 0, completeness 1.
    assert v_measure(list("aabb"), ["x"] * 4) == 0
    # torn in halves: homogeneity 1, completeness 1 - H(found | gold) / H(found)
    found: Found = ["1", "2", "3", "4"]
    completeness = 1 - log(2) / log(4)
    assert v_measure(list("aabb"), found) == pytest.approx(2 * completeness / (1 + completeness))
    assert v_measure(list("aabb"), [None] * 4) == pytest.approx(v_measure(list("aabb"), found))


def test_purity_is_that_of_the_clustered_items() -> None:
    assert purity(list(GOLD), FOUND) == pytest.approx((2 + 2) / 5)
    assert isnan(purity(list("ab"), [None, None]))


def test_coverage_asks_only_for_items_with_a_companion() -> None:
    assert coverage(list(GOLD), FOUND) == 1
    assert coverage(list("aabbc"), ["x", "x", None, None, "x"]) == 0.5
    assert isnan(coverage(list("abc"), [None, None, "x"]))


def test_what_is_undefined_is_not_a_number() -> None:
    nothing = contingency(list("abc"), [None, None, None])
    assert all(isnan(value) for value in (*pairwise(nothing)[1:], *muc(nothing)[1:]))
    assert b_cubed(nothing) == ceaf_e(nothing) == (1, 1, 1)


clusterings = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from("abcd"), min_size=n, max_size=n),
        st.lists(st.sampled_from(["x", "y", "z", None]), min_size=n, max_size=n),
    )
)


@given(clusterings)
def test_pairs_and_matchings_are_those_of_a_direct_count(both: tuple[list[str], Found]) -> None:
    gold, found = both
    alone = [name if name is not None else n for n, name in enumerate(found)]
    pairs = list(combinations(range(len(gold)), 2))
    together = {(i, j) for i, j in pairs if gold[i] == gold[j]}
    claimed = {(i, j) for i, j in pairs if alone[i] == alone[j]}
    _, precision, recall = pairwise(contingency(gold, found))
    if claimed:
        assert precision == pytest.approx(len(together & claimed) / len(claimed))
    if together:
        assert recall == pytest.approx(len(together & claimed) / len(together))
    keys = [{n for n, x in enumerate(gold) if x == g} for g in sorted(set(gold))]
    answers = [{n for n, x in enumerate(alone) if x == f} for f in dict.fromkeys(alone)]
    short, long = sorted([keys, answers], key=len)
    best = (
        max(
            sum(2 * len(a & b) / (len(a) + len(b)) for a, b in zip(short, chosen, strict=True))
            for chosen in permutations(long, len(short))
        )
        if len(long) <= 6
        else None
    )
    if best is not None:
        _, precision, recall = ceaf_e(contingency(gold, found))
        assert (precision, recall) == pytest.approx((best / len(answers), best / len(keys)))


@given(clusterings)
def test_precision_and_recall_change_places_with_the_clusterings(
    both: tuple[list[str], Found],
) -> None:
    gold, found = both
    alone = [name if name is not None else f"alone {n}" for n, name in enumerate(found)]
    for measure in MEASURES.values():
        score, precision, recall = measure(contingency(gold, alone))
        turned = measure(contingency(alone, list(gold)))
        assert turned == pytest.approx((score, recall, precision), nan_ok=True)


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=30))
def test_labels_score_as_their_names_do(pairs: list[tuple[int, int]]) -> None:
    gold, found = (np.array(side) for side in zip(*pairs, strict=True))
    names = [str(c) if c >= 0 else f"alone {n}" for n, c in enumerate(gold)]
    expected = scores(names, [str(c) if c >= 0 else None for c in found])
    by_labels = scores_of_labels(gold, found)
    for name in ("f1", "precision", "recall"):
        assert by_labels[name] == pytest.approx(expected[name])


def test_coverage_of_labels_counts_clusters_of_several() -> None:
    gold = np.array([0, 0, 0, 1, 1, -1])
    found = np.array([5, 5, 6, 7, -1, 7])
    assert scores_of_labels(gold, found)["coverage"] == 3 / 5
