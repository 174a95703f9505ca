"""The parts of the learned links that could be wrong unseen."""

import numpy as np

from tests.benchmarks.link_model import Model, logistic
from tests.benchmarks.shared_names import shared_names


def test_the_regression_is_where_the_likelihood_is_highest() -> None:
    rng = np.random.default_rng(0)
    design = rng.normal(size=(4000, 2)) * [1, 5] + [0.5, -3]
    odds = -1 + design @ [2, -0.3]
    truth = (rng.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)
    found = logistic(design, truth, np.ones(4000))
    np.testing.assert_allclose(found, [-1, 2, -0.3], atol=0.25)
    residual = truth - 1 / (1 + np.exp(-(found[0] + design @ found[1:])))
    assert abs(residual.mean()) < 1e-6
    assert np.abs(design.T @ residual / 4000).max() < 1e-2


def test_a_model_of_the_similarity_alone_gives_it_back() -> None:
    values = np.array([0.2, 0.5, 0.9])
    model = Model(("cosine",), np.array([-4.0, 9.0]), np.array([-4.0, 9.0]))
    np.testing.assert_allclose(model.similarity({"cosine": values}), values)


def test_rare_names_in_common_count_more() -> None:
    titles = [
        "The mayor of Lagos met Obama",
        "In the end Obama saw Lagos",
        "He said that Obama would go",
        "Later that day Obama was there",
        "nothing that has a capital",
    ]
    entries = [{"metadata": {"title": title}} for title in titles]
    names = shared_names(entries, "documents")
    pairs = np.array([0, 0, 0]), np.array([1, 2, 4], dtype=np.int32)
    rare, frequent, none = names.likeness(*pairs).tolist()
    assert rare > frequent > 0
    assert np.isnan(none)
