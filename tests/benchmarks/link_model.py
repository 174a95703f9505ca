"""A learned model of links against the weights that are set by hand.

    PYTHONPATH=. python -m tests.benchmarks.link_model --draws 4
    PYTHONPATH=. python -m tests.benchmarks.link_model --only "ecbplus events" --fractions .9

Logistic regression over features of the neighbour graph's edges says how probable it is that two
nodes belong together. Documents and storylines have models of the other collections, events and
entities models of the other topics (five folds). The log-odds become similarities of edges in two
ways, and everything after that is the default's:

* `calibrated`: as the log-odds of a model of the hand-set similarity alone would have given them;
* `ranked`: the edges of the level keep their similarities, in the order of the log-odds.

Every line is a level, whole or with a share of its stories thinned to one item (mean of the draws):
F1, precision and recall of the default, and what each set of features adds to them. Clusters are
those of the algorithm: `merge.names` and outlier policies come later. Nothing enters the history.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import Method, Weights, recorded_method
from clustering_tasks.arrays import F64, I32, I64
from clustering_tasks.engine.smoothing import smooth
from clustering_tasks.evidence.facts import node_facts
from clustering_tasks.evidence.pairs import NodeFacts, Pairs
from clustering_tasks.evidence.stories import story_gap
from clustering_tasks.evidence.words import mention_likeness
from clustering_tasks.graph.neighbour_graph import read_graph
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.cluster.cluster import cluster
from clustering_tasks.steps.merge.blocks import blocks, evidence
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.columns import read_columns
from tests.benchmarks import ours
from tests.benchmarks.bootstraps import topic
from tests.benchmarks.collection import Collection, Items, write_collection
from tests.benchmarks.contingency import contingency
from tests.benchmarks.measures import b_cubed
from tests.benchmarks.shared_names import SharedNames, shared_names
from tests.benchmarks.thinned import real_collections
from tests.benchmarks.variants import FRACTIONS, thinned

STORIES: dict[str, tuple[str, ...]] = {
    "cosine, smoothed": ("cosine", "smoothed"),
    "cosine, names": ("cosine", "names"),
    "cosine, smoothed, rank": ("cosine", "smoothed", "rank"),
    "four": ("cosine", "smoothed", "rank", "names"),
    "eight": ("cosine", "smoothed", "rank", "names", "document", "domain", "days", "dated"),
}
MENTIONS: dict[str, tuple[str, ...]] = {
    "by hand": ("cosine", "mentions", "story", "sentence"),
    "by hand, names": ("cosine", "mentions", "story", "sentence", "names"),
    "by hand, smoothed": ("cosine", "mentions", "story", "sentence", "smoothed"),
    "by hand, names, rank": ("cosine", "mentions", "story", "sentence", "names", "rank"),
    "nine": (
        *("cosine", "mentions", "story", "sentence", "names", "rank"),
        *("smoothed", "domain", "type"),
    ),
}
HAND = ("similarity",)
_FOLDS = 5
_ALL = Weights(  # so that all facts are read
    mention_weight=1, sentence_penalty=1, domain_penalty=1, event_type_penalty=1
)
_RIDGE = 1e-4  # of standardised features, for those that are constant
_ROUNDS = 30
Features = dict[str, F64]  # (m,) of each edge


@dataclass(frozen=True)
class Edges:
    """The edges of a block.

    Attributes:
        rows, places: (m,) where each stands in the block's `ids`.
        together: (m,) bool whether gold has both nodes in one cluster.
        fold: (m, 2) of the topics of both nodes.
        features: by name; `similarity` is that of the default.
    """

    rows: I64
    places: I64
    together: F64
    fold: I64
    features: Features


@dataclass(frozen=True)
class Prepared:
    """A level up to its neighbour graph, with the evidence on it."""

    collection: str
    level: str
    settings: RunSettings
    method: Method
    nodes: Nodes
    gold: list[str]
    blocks: list[tuple[slice, Block]]
    edges: list[Edges]

    def design(self, names: Sequence[str]) -> F64:
        """Features of all edges: (m, f)."""
        return np.concatenate([_columns(edges.features, names) for edges in self.edges])

    def joined(self, name: str) -> F64 | I64:
        """An attribute of all edges."""
        return np.concatenate([getattr(edges, name) for edges in self.edges])


def _columns(features: Features, names: Sequence[str]) -> F64:
    return np.stack([features[name] for name in names], axis=1)


def main() -> None:
    """Print a line for each level and share, with all sets of features."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="as 'ecbplus events'")
    given = parser.parse_args()
    ours.quiet()
    base = real_collections()
    whole = {f"{c.name} {level}": prepare(c, level) for c in base.values() for level in c.levels}
    for name in given.only or whole:
        models = learned(whole[name], list(whole.values()))
        print(_line(name, [_compared(whole[name], models)]), flush=True)
        for share in given.fractions if given.draws else []:
            draws = thinned(base, [share], given.draws, [name])
            found = [_compared(prepare(d.collection, d.level), models) for d in draws]
            print(_line(f"{name}, {share:.0%} thinned", found), flush=True)


def prepare(collection: Collection, level: str) -> Prepared:
    """Perform the steps up to the neighbour graph, and describe its edges."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "indices"
        write_collection(collection, folder)
        run = ours.new_run(folder, Path(scratch) / "workspace", level, {})
        taken, planned = snapshot(run), plan(run)
        parts = [cluster(run, part.part) for part in planned.parts or []]
        nodes, method = load_nodes(planned.path("nodes")), recorded_method(run)
        graph = read_graph(len(nodes.row), run.settings.neighbours.k, parts)
        known = evidence(taken, planned, nodes, graph, method, check=True)
        floor = method.weights.story_similarity_floor
        facts = node_facts(taken, planned, nodes, replace(_ALL, story_similarity_floor=floor))
        found = [
            (rows, replace(block, vectors=block.vectors[np.arange(len(block.weight))]))
            for rows, block in blocks(planned, nodes, graph, known)
            if block is not None
        ]
        ids = read_columns(taken.path("items"), ["vector_id"])["vector_id"].to_pylist()
    items = collection.levels[level]
    at = {name: row for row, name in enumerate(items.names)}
    items = items.take(np.array([at[name] for name in ids]))
    edges = _all_edges(items, level, nodes, facts, found, floor)
    return Prepared(collection.name, level, run.settings, method, nodes, items.gold, found, edges)


def _all_edges(
    items: Items,
    level: str,
    nodes: Nodes,
    facts: NodeFacts,
    found: list[tuple[slice, Block]],
    floor: float,
) -> list[Edges]:
    of_nodes = items.take(nodes.row)
    gold = np.unique(of_nodes.gold, return_inverse=True)[1]
    fold = np.unique([topic(d) for d in of_nodes.documents], return_inverse=True)[1] % _FOLDS
    names = shared_names(of_nodes.entries, level)
    edges = []
    for rows, block in found:
        one, place = np.nonzero(block.ids >= 0)
        other = block.ids[one, place]
        features = _features(block, one, place, facts.part(rows), names.part(rows), floor)
        together = (gold[rows][one] == gold[rows][other]).astype(float)
        folds = np.stack([fold[rows][one], fold[rows][other]], axis=1)
        edges.append(Edges(one, place, together, folds, features))
    return edges


def _features(
    block: Block, one: I64, place: I64, facts: NodeFacts, names: SharedNames, floor: float
) -> Features:
    other = block.ids[one, place]
    vectors = np.asarray(block.vectors)
    smoothed = smooth(vectors, block.ids, block.distances, block.weight)
    cosine = np.einsum("ij,ij->i", vectors[one], vectors[other])
    pairs = Pairs(one.astype(np.int32), other, cosine, cosine)
    likeness = mention_likeness(facts.mentions, pairs.rows, pairs.columns).astype(float)
    gap = story_gap(pairs, facts.stories, floor) if floor else np.zeros(len(one))
    first, last = facts.span[:, 0], facts.span[:, 1]
    days = np.maximum(first[one], first[other]) - np.minimum(last[one], last[other])
    return {
        "similarity": block.similarity[one, place].astype(float),
        "cosine": cosine.astype(float),
        "smoothed": np.einsum("ij,ij->i", smoothed[one], smoothed[other]).astype(float),
        "mentions": _or_mean(likeness),
        "names": _or_mean(names.likeness(one, other)),
        "story": np.nan_to_num(gap.astype(float)),
        "days": np.log1p(np.nan_to_num(np.maximum(days, 0))),
        "dated": np.isfinite(days).astype(float),
        "rank": np.log2(_mutual_rank(one, other, cosine)),
        "document": _same(facts.document, one, other),
        "sentence": _same(facts.sentence, one, other),
        "type": _different(facts.event_type, one, other),
        "domain": _different(facts.domain, one, other),
    }


def _or_mean(values: F64) -> F64:
    """Put the mean where a value is missing, which then says nothing."""
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)


def _same(codes: I32, one: I64, other: I32) -> F64:
    return np.asarray((codes[one] >= 0) & (codes[one] == codes[other]), dtype=float)


def _different(codes: I32, one: I64, other: I32) -> F64:
    known = (codes[one] >= 0) & (codes[other] >= 0)
    return np.asarray(known & (codes[one] != codes[other]), dtype=float)


def _mutual_rank(one: I64, other: I32, cosine: F64) -> F64:
    """The worse of the two ranks that the ends of an edge have for each other, from 1: (m,)."""
    order = np.lexsort((-cosine, one))
    starts = np.searchsorted(one[order], one[order])
    rank = np.empty(len(one))
    rank[order] = np.arange(len(one)) - starts + 1
    back = dict(zip(zip(one.tolist(), other.tolist(), strict=True), rank.tolist(), strict=True))
    most = rank.max(initial=0) + 1
    ends = zip(other.tolist(), one.tolist(), strict=True)
    return np.maximum(rank, [back.get(ends_of, most) for ends_of in ends])


@dataclass(frozen=True)
class Model:
    """Coefficients of the features, and those of the hand-set similarity alone; intercepts first.

    Attributes:
        names: of the features.
        coefficients: (f + 1,).
        scale: (2,).
    """

    names: tuple[str, ...]
    coefficients: F64
    scale: F64

    def similarity(self, features: Features) -> F64:
        """The similarity that alone would have given the log-odds of the features: (m,)."""
        odds = self.coefficients[0] + _columns(features, self.names) @ self.coefficients[1:]
        return np.asarray((odds - self.scale[0]) / self.scale[1])


Models = Mapping[str, list[Model]]  # by set of features; one model, or one for each fold


def learned(held: Prepared, pool: Sequence[Prepared]) -> Models:
    """Learn from the other collections, or, at levels that only one has, from other topics."""
    others = [one for one in pool if one.collection != held.collection]
    others = [one for one in others if one.method.algorithm == held.method.algorithm]
    if others:
        return {title: [_learned(others, None, names)] for title, names in STORIES.items()}
    return {
        title: [_learned([held], fold, names) for fold in range(_FOLDS)]
        for title, names in MENTIONS.items()
    }


def _learned(levels: Sequence[Prepared], fold: int | None, names: tuple[str, ...]) -> Model:
    kept = [(level.joined("fold") != fold).all(axis=1) for level in levels]
    truth = [level.joined("together")[rows] for level, rows in zip(levels, kept, strict=True)]
    weight = np.concatenate([np.full(len(each), 1 / len(each)) for each in truth])

    def fitted(of: Sequence[str]) -> F64:
        design = [level.design(of)[rows] for level, rows in zip(levels, kept, strict=True)]
        return logistic(np.concatenate(design), np.concatenate(truth), weight)

    return Model(names, fitted(names), fitted(HAND))


def logistic(design: F64, truth: F64, weight: F64) -> F64:
    """Fit a logistic regression by Newton's method: (f + 1,) coefficients, the intercept first.

    Args:
        design: (m, f).
        truth: (m,) 0 or 1.
        weight: (m,) positive.
    """
    mean, deviation = design.mean(axis=0), design.std(axis=0)
    deviation[deviation == 0] = 1
    columns = np.column_stack([np.ones(len(design)), (design - mean) / deviation])
    ridge = _RIDGE * np.append(0, np.ones(design.shape[1]))
    share = weight / weight.sum()
    found = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        probable = expit(columns @ found)
        slope = columns.T @ (share * (probable - truth)) + ridge * found
        curve = (columns.T * (share * probable * (1 - probable))) @ columns + np.diag(ridge)
        found = found - np.linalg.solve(curve, slope)
    steps = found[1:] / deviation
    return np.append(found[0] - steps @ mean, steps)


Scores = dict[str, F64]  # F1, precision, recall by name


def _compared(level: Prepared, models: Models) -> Scores:
    found = {"default": _scored(level, level.blocks)}
    for title, each in models.items():
        similarities = [_similarity(each, edges) for edges in level.edges]
        ranked = [
            _ranked(new, edges.features["similarity"])
            for new, edges in zip(similarities, level.edges, strict=True)
        ]
        found[f"{title}, calibrated"] = _scored(level, _remade(level, similarities))
        found[f"{title}, ranked"] = _scored(level, _remade(level, ranked))
    return found


def _similarity(models: list[Model], edges: Edges) -> F64:
    """By the model that has not seen the topic of the edge's row."""
    if len(models) == 1:
        return models[0].similarity(edges.features)
    by_fold = np.stack([model.similarity(edges.features) for model in models])
    return np.asarray(by_fold[edges.fold[:, 0], np.arange(len(edges.rows))])


def _ranked(order: F64, values: F64) -> F64:
    given = np.empty_like(values)
    given[np.argsort(order, kind="stable")] = np.sort(values)
    return given


def _remade(level: Prepared, similarities: Iterable[F64]) -> Iterator[tuple[slice, Block]]:
    """The blocks with other similarities on their edges."""
    for (rows, block), edges, similarity in zip(
        level.blocks, level.edges, similarities, strict=True
    ):
        distances = np.full(block.ids.shape, np.inf, dtype=np.float32)
        distances[edges.rows, edges.places] = np.sqrt(2 - 2 * np.minimum(similarity, 1))
        order = np.lexsort((block.ids, distances))
        yield (
            rows,
            replace(
                block,
                ids=np.take_along_axis(block.ids, order, axis=1),
                distances=np.take_along_axis(distances, order, axis=1),
            ),
        )


def _scored(level: Prepared, parts: Iterable[tuple[slice, Block]]) -> F64:
    algorithm = ALGORITHMS[level.method.algorithm].load()
    labels = np.full(len(level.nodes.row), -1, dtype=np.int32)
    count = 0
    for rows, block in parts:
        found = algorithm(block, level.settings, level.method).labels
        labels[rows] = np.where(found >= 0, found + count, -1)
        count += int(found.max(initial=-1)) + 1
    of_rows = level.nodes.of_rows(labels, -1).tolist()
    clusters = [str(label) if label >= 0 else None for label in of_rows]
    return np.array(b_cubed(contingency(level.gold, clusters)))


def _line(name: str, found: Sequence[Scores]) -> str:
    default = np.mean([each["default"] for each in found], axis=0)
    parts = [f"{name}: {default[0]:.3f} ({default[1]:.3f} / {default[2]:.3f})"]
    for title in list(found[0])[1:]:
        gain = np.array([each[title] - each["default"] for each in found])
        mean = " / ".join(f"{value:+.3f}" for value in gain.mean(axis=0)[1:])
        parts.append(f"{title} {gain[:, 0].mean():+.3f} ({mean}), worst {gain[:, 0].min():+.3f}")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
