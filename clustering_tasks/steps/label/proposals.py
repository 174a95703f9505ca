"""What the clusters of a level may be called: found by several processes where there are many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clustering_tasks.arrays import I32, I64
from clustering_tasks.engine.processes import Each
from clustering_tasks.language.entity_names import common_nouns
from clustering_tasks.stage3.words import words_of
from clustering_tasks.steps.label.copies import apart, in_order, without_copies
from clustering_tasks.steps.label.keywords import Keywords
from clustering_tasks.steps.label.members import (
    Columns,
    Group,
    by_cluster,
    cuts,
    groups,
    most_central,
)
from clustering_tasks.steps.label.naming import MOST_CENTRAL, Namer, Proposal
from clustering_tasks.steps.label.numbering import number_group
from clustering_tasks.steps.label.plainness import plainness
from clustering_tasks.steps.label.stop_words import usual_language
from clustering_tasks.steps.label.word_groups import WordGroup
from clustering_tasks.steps.label.words import Words

_TERMS = 12  # from which key phrases are chosen
_SAMPLE = 1000  # texts that show the level's usual language
_AT_ONCE = 4000  # members of clusters that are named in one go
_READ = [
    *("title", "mention", "sentence", "entity_type", "start_time", "similarity"),
    *("near_duplicate", "near_duplicate_of"),
]


class Scores(NamedTuple):
    """Values of labels as queries for their cluster's members, by which candidates are ranked.

    Attributes:
        llm: of a language model's label.
        local: of the best local one.
    """

    llm: float
    local: float

    @property
    def wins(self) -> bool:
        """Whether the model's is used: of equals it is, for it has read the texts as a whole."""
        return self.llm >= self.local


_Task = tuple[Group, WordGroup, Sequence[str | None]]
_Proposed = tuple[list[str], Proposal, Scores | None, list[int]]


class Described(NamedTuple):
    """A cluster before it has a name.

    Attributes:
        members: its items.
        keywords: heaviest first.
        proposal: what it may be called.
        scores: of a model's label and the best local one; None where none was given.
        apart: rows of up to `MOST_CENTRAL` members that say something of their own, from `apart`.
    """

    members: Columns
    keywords: list[str]
    proposal: Proposal
    scores: Scores | None
    apart: list[int]


def group_starts(labels: I32) -> list[int]:
    """Return with which clusters those begin that one process works on at a time, and the number.

    Args:
        labels: (n,) the cluster of each item, negative for none.
    """
    return cuts(labels, int(labels.max(initial=-1)) + 1, _AT_ONCE)


@dataclass(frozen=True)
class LevelWords:
    """What the clusters of a level say.

    Attributes:
        keywords: of them.
        sizes: (c,) members that say something of their own.
    """

    keywords: Keywords
    sizes: I64


def count_words(table: pa.Table, labels: I32, each: Each = map) -> LevelWords:
    """Count what the clusters say; what near-duplicates say counts once.

    Args:
        table: of n items `source_id`, `near_duplicate_of`, and as `text` what words are drawn from.
        labels: (n,) the cluster of each, negative for none; every cluster has a member.
        each: who does the work, from `work_processes`.
    """
    starts, texts = group_starts(labels), table["text"]
    once = without_copies(labels, table["near_duplicate_of"], table["source_id"], texts)
    parts = groups(table.select(["text"]), once, starts)
    keywords = Keywords(each(partial(number_group, _usual(texts)), parts))
    return LevelWords(keywords, np.bincount(once[once >= 0], minlength=starts[-1]))


def describe(
    words: LevelWords,
    table: pa.Table,
    labels: I32,
    level: str,
    keywords: int,
    each: Each = map,
    answers: Sequence[str | None] | None = None,
) -> Iterator[Described]:
    """Yield each cluster with what it may be called.

    Args:
        words: of the clusters; they are dropped as soon as nothing more is read of them.
        table: n items, from `read_members`, and their `near_duplicate_of`.
        labels: (n,) the cluster of each, negative for none; every cluster has a member.
        level: its name.
        keywords: most of them for a cluster.
        each: who does the work, from `work_processes`.
        answers: of each cluster the label that a language model gives it; None: no model was asked.
    """
    starts = group_starts(labels)
    clusters = starts[-1]
    common = _common(table["title"]) if level == "entities" else frozenset[str]()
    terms = words.keywords.groups(words.sizes, starts, max(keywords, _TERMS))
    del words  # a million items' take half a gigabyte
    tasks = zip(
        groups(table.select(_READ), labels, starts),
        terms,
        _cut(answers or [None] * clusters, starts),
        strict=True,
    )
    proposals = each(partial(_propose, Namer(level, common)), tasks)
    both = zip(by_cluster(table, labels, clusters), chain.from_iterable(proposals), strict=True)
    for members, (heaviest, proposal, scores, rows) in both:
        yield Described(members, heaviest[:keywords], proposal, scores, rows)


def _propose(namer: Namer, task: _Task) -> list[_Proposed]:
    """Return the heaviest terms of each cluster of a group, and what it may be called."""
    members, words, answers = task
    found = []
    for m, w, answer in zip(members.clusters(), words.clusters(), answers, strict=True):
        central = most_central(m)
        rows = apart(m, central, namer.level, MOST_CENTRAL)
        proposal = namer.propose(m, in_order(central, rows), w)
        scores = None if answer is None else _scores(answer, proposal, w)
        found.append((w.keywords, proposal, scores, rows))
    return found


def _scores(answer: str, proposal: Proposal, words: Words) -> Scores:
    local = proposal.ranked[0] if proposal.ranked else ""
    return Scores(_value(answer, words), _value(local, words))


def _value(label: str, words: Words) -> float:
    # rounded: the last bits depend on the processor's logarithm
    return round(words.fit(label)[0] * plainness(label), 5)


def _cut(answers: Sequence[str | None], starts: Sequence[int]) -> Iterator[Sequence[str | None]]:
    for start, stop in pairwise(starts):
        yield answers[start:stop]


def _common(mentions: pa.ChunkedArray) -> frozenset[str]:
    counts = mentions.drop_null().value_counts()
    return common_nouns(dict(zip(*(part.to_pylist() for part in counts.flatten()), strict=True)))


def _usual(texts: pa.ChunkedArray) -> str:
    sample = texts.take(np.arange(0, len(texts), max(1, len(texts) // _SAMPLE)))
    return usual_language(words_of(text) for text in sample.to_pylist() if text)
