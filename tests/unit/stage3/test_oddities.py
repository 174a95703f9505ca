"""Counts with examples, and metrics without them."""

from clustering_tasks.stage3.oddities import Oddities, example_of, unread, without_examples


def test_a_deletion_leaves_the_counts_and_takes_the_examples() -> None:
    odd = Oddities()
    odd.note(unread("title"), "title", 5)
    odd.note(unread("title"), "title", 6)
    metrics = dict(odd) | {example_of(name): text for name, text in odd.examples.items()}
    assert metrics == {"unread_title": 2, "unread_title_example": "title: 5"}
    assert without_examples(metrics) == {"unread_title": 2}
