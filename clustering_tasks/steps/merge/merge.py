"""Step `merge`: all parts' blocks of the neighbour graph become one clustering of the level.

The neighbour search is 95-99 % of the cost and independent row by row, so it is what is mapped; the
hierarchy over a whole level takes seconds and grows here.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import structlog

from clustering_tasks.algorithms.interface import FlatClustering
from clustering_tasks.algorithms.method import Method, recorded_method
from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.frozen import links_digest, read_frozen
from clustering_tasks.engine.centroids import ClusterSums, cluster_sums
from clustering_tasks.engine.duplicates import near_duplicates
from clustering_tasks.engine.joining import mutual_best
from clustering_tasks.errors import BadInputError
from clustering_tasks.evidence.check import CheckedEvidence
from clustering_tasks.graph.neighbour_graph import (
    Graph,
    measure_recall,
    mend,
    read_graph,
    write_rows,
)
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.graph.time_ranges import read_time_ranges
from clustering_tasks.incremental.base import Base, load_base
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.steps.merge.assignments import (
    CODES,
    FILTERED,
    NOISE,
    UNASSIGNED,
    write_clustering,
)
from clustering_tasks.steps.merge.blocks import blocks, evidence
from clustering_tasks.steps.merge.corrections import apply_corrections, probability_of_placed
from clustering_tasks.steps.merge.damped_evidence import adapt
from clustering_tasks.steps.merge.entities import (
    Reconciled,
    as_words,
    former_reasons,
    reconcile,
)
from clustering_tasks.steps.merge.growth import Anew, grow, known_evidence, renew
from clustering_tasks.steps.merge.learned import Learned, learned
from clustering_tasks.steps.merge.leftover import without_gaps
from clustering_tasks.steps.merge.lone_items import without_lone_items
from clustering_tasks.steps.merge.mentioned import read_mentioned
from clustering_tasks.steps.merge.outlier_policy import (
    Offers,
    assignment,
    enter_similarity,
    nearest_clusters,
    no_offers,
    treat,
)
from clustering_tasks.steps.merge.quality import (
    measure_evidence,
    measure_graph,
    measure_membership,
    measure_vectors,
)
from clustering_tasks.steps.merge.stability import LARGEST, stability
from clustering_tasks.steps.merge.time_gaps import Checked, check_gaps
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Metric,
    Result,
    Run,
    artefact_key,
    part_name,
    perform,
)
from clustering_tasks.workspace.source_version import source_version
from clustering_tasks.workspace.vector_files import VectorFile, open_vectors

log = structlog.get_logger()

# Of the pairs that a full run compares to measure quality: at 200,000 items they were half of an
# incremental run's `merge`. The samples of large levels get smaller, their errors up to twice as
# large.
_EFFORT_CONTINUED = 1 / 8


@dataclass
class Clustering:
    """A clustering of all nodes, from those of their blocks.

    Attributes:
        labels: (n,) int32 cluster, NOISE or UNASSIGNED.
        probabilities: (n,) float32.
        outlier_scores: (n,) float32, NaN where there are none.
        block: (c,) int32 the block of each cluster.
        trees: the blocks' hierarchies, their nodes numbered as in the graph.
        facts: what the algorithm chose in the largest block.
        stability: (c,) of each cluster, NaN where it was not measured.
        offers: where each noise node could go, if the outlier policy asks.
        evidence: metrics of its check.
        learned: what a run that continues this one keeps.
        reason: (n,) why nodes are where the run before has them, by `REASONS`; None: a full run.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    block: I32 = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    trees: list[dict[str, npt.NDArray[np.generic]]] = field(default_factory=list)
    facts: dict[str, Metric] = field(default_factory=dict)
    largest: int = -1
    stability: F64 = field(default_factory=lambda: np.empty(0))
    offers: Offers = field(default_factory=lambda: no_offers(0))
    evidence: dict[str, Metric] = field(default_factory=dict)
    learned: Learned = field(default_factory=lambda: learned(None, {}))
    reason: I32 | None = None

    def add(self, block: int, rows: slice, found: FlatClustering) -> None:
        """Enter the clustering of one block."""
        labels = found.labels + np.int32(len(self.block))
        self.labels[rows] = np.where(found.labels >= 0, labels, NOISE)
        self.probabilities[rows] = found.probabilities
        self.outlier_scores[rows] = found.outlier_scores
        clusters = int(found.labels.max(initial=-1)) + 1
        self.block = np.append(self.block, np.full(clusters, block, dtype=np.int32))
        tree = dict(found.tree)
        if "nodes" in tree:
            tree["nodes"] = np.asarray(tree["nodes"]) + np.int32(rows.start)
        self.trees.append(tree)
        if rows.stop - rows.start > self.largest:
            self.largest, self.facts = rows.stop - rows.start, dict(found.facts)


def merge(run: Run) -> Result:
    """Cluster the level on the graph that the parts left.

    Raises:
        BadInputError: when a part is missing and `allow_partial` is not set, or when an artefact of
            the run's base is gone.
    """
    snapshot, plan = run.result("snapshot"), run.result("plan")
    parts, base = _parts(run, plan), load_base(run, plan)
    method = recorded_method(run)
    read = run.settings.model_dump(include={"scope", "temporal", "merge", "outliers", *ALGORITHMS})
    read["check_evidence"] = run.settings.evidence.check
    if base is not None:
        read["vote_similarity"] = run.settings.incremental.vote_similarity
    # The algorithm is loaded by its name: the step's own version does not reach its module.
    code = source_version(f"algorithms.{method.algorithm}")
    corrections = read_frozen(run.workspace, run.level.name, run.corrections)
    extra = [method.record(), sorted(parts), code, links_digest(corrections)]
    key = artefact_key("merge", [snapshot, plan, *parts.values()], read, extra)
    return perform(
        run,
        "merge",
        key,
        lambda attempt: _merge(run, method, snapshot, plan, parts, base, corrections, attempt),
    )


def _parts(run: Run, plan: Result) -> dict[int, Result]:
    plan.path("part_of_node")  # a plan of ranges is named, rather than the graphs that follow it
    found = {
        part.part: result
        for part in plan.parts or []
        if (result := run.find_result(part_name(part.part))) is not None
        # not of an earlier plan of the same run, and not cleared away since
        and result.metrics["plan"] == plan.key
        and result.path("graph").exists()
    }
    missing = [f"{p.part} ({p.name})" for p in plan.parts or [] if p.part not in found]
    if missing and not run.settings.allow_partial:
        raise BadInputError(
            f"run {run.job_id} lacks the result of part {', '.join(missing)}: see why its "
            f"`cluster` task failed and clear it; finished parts are not computed again"
        )
    if missing:
        log.warning("parts missing, their items stay unassigned", parts=missing)
    return found


def _merge(
    run: Run,
    method: Method,
    snapshot: Result,
    plan: Result,
    parts: dict[int, Result],
    base: Base | None,
    corrections: Sequence[Correction],
    attempt: Attempt,
) -> None:
    nodes = load_nodes(plan.path("nodes"))
    graph = read_graph(len(nodes.row), run.settings.neighbours.k, parts.values())
    # an incremental run has mended its graph, whose rows are mostly the base's
    approximate = mend(graph, plan, nodes, run.settings.temporal) if base is None else []
    if approximate:  # for a run that continues this one
        path = attempt.new_file("graph", "graph.npz")
        write_rows(path, np.arange(len(nodes.row)), graph.ids, graph.distances)
    with ThreadPoolExecutor(1) as beside:  # products, while metadata keeps the interpreter busy
        measuring = beside.submit(measure_recall, graph, plan, approximate, run.settings.temporal)
        if base is None:
            clustering = _all_anew(run, method, snapshot, plan, nodes, graph)
        else:
            clustering = _continued(run, method, base, snapshot, plan, nodes, graph)
    found_of_true = measuring.result()
    with open_vectors(snapshot.path("vectors")) as vectors:
        reconciled = _reconciled(run, method, snapshot, plan, nodes, clustering.labels, vectors)
        final, sums = _settle(run, plan, nodes, graph, clustering, reconciled, vectors)
        policy = run.settings.outliers
        treated = treat(final.labels, final.probabilities, clustering.offers, nodes.weight, policy)
        labels, core = (nodes.of_rows(each, FILTERED) for each in (treated.labels, final.labels))
        corrected = apply_corrections(corrections, snapshot, nodes.node_of_row, labels, core)
        corrected = without_lone_items(corrected, snapshot)
        if not np.array_equal(corrected.core, core):
            clusters = int(corrected.core.max(initial=-1)) + 1
            sums = cluster_sums(vectors.blocks(), corrected.core, clusters, vectors.shape[1])
        labels, core = corrected.labels, corrected.core
        # centroids and quality are the core's: an outlier policy distorts neither
        effort = 1 if base is None else _EFFORT_CONTINUED
        measured = measure_vectors(vectors, core, sums, effort)
        enter_similarity(measured.similarity, vectors, core, labels, sums)
    found = clustering.labels
    attempt.metrics = {
        **_counts(labels, len(sums.sizes), len(parts)),
        "raw_noise": int((core == NOISE).sum()),
        **measured.metrics,
        **measure_graph(nodes, graph, core, found, _joined(clustering.trees)),
        **measure_membership(nodes, found, clustering.probabilities, clustering.stability),
        "neighbour_search": " ".join(_searches(parts)) or None,
        "neighbour_recall": found_of_true.value if found_of_true else None,
        "neighbour_recall_error": found_of_true.error if found_of_true else None,
        "algorithm": method.algorithm,
        "algorithm_reason": method.reason,
        "clusters_with_gap": final.gaps,
        **corrected.metrics,
        **(reconciled.metrics if reconciled else {}),
        **clustering.evidence,
        **clustering.facts,
    }
    clustering.learned.save(attempt.new_file("learned", "learned.npz"))
    probabilities = nodes.of_rows(treated.probabilities, np.nan)
    probabilities = probability_of_placed(probabilities, corrected)
    kinds = assignment(core, labels, policy)
    _write(
        attempt,
        nodes,
        graph,
        clustering,
        labels,
        probabilities,
        kinds,
        measured.similarity,
        _reasons(reconciled, clustering),
        sums,
    )


def _settle(
    run: Run,
    plan: Result,
    nodes: Nodes,
    graph: Graph,
    clustering: Clustering,
    reconciled: Reconciled | None,
    vectors: VectorFile,
) -> tuple[Checked, ClusterSums]:
    """Join what domain scope tore apart and split what time does; the last word on who is where."""

    def sums_of(labels: I32) -> ClusterSums:
        rows, count = nodes.of_rows(labels, FILTERED), int(labels.max(initial=-1)) + 1
        return cluster_sums(vectors.blocks(), rows, count, vectors.shape[1])

    labels, probabilities = clustering.labels, clustering.probabilities
    if reconciled is not None:
        labels = reconciled.labels
        probabilities = reconciled.probabilities(clustering.labels, probabilities)
    sums = sums_of(labels)
    if run.settings.merge.join == "mutual_best" and run.level.blocked_by is None:
        group = mutual_best(sums, clustering.block, run.settings.merge.join_similarity)
        labels = np.where(labels >= 0, np.append(group, -1)[labels], labels).astype(np.int32)
        sums = sums.grouped(group)
    span = read_time_ranges(plan)
    final = check_gaps(labels, probabilities, span, graph.ids, nodes.weight, run.settings.temporal)
    return final, sums_of(final.labels) if final.labels is not labels else sums


def _reconciled(
    run: Run,
    method: Method,
    snapshot: Result,
    plan: Result,
    nodes: Nodes,
    labels: I32,
    vectors: VectorFile,
) -> Reconciled | None:
    """Cut and join clusters by what names say; None at levels whose items are no mentions."""
    if run.level.blocked_by is None or not run.settings.merge.names:
        return None
    known = read_mentioned(snapshot, plan, nodes)
    floor = method.weights.story_similarity_floor or 1.0
    return reconcile(labels, known, nodes, vectors, floor)


def _searches(parts: Mapping[int, Result]) -> list[str]:
    """Ways in which the parts found neighbours: `exact`, `cells`, `gpu`."""
    return sorted(
        {way for part in parts.values() for way in str(part.metrics["search"] or "").split()}
    )


def _cluster(
    run: Run,
    method: Method,
    plan: Result,
    nodes: Nodes,
    graph: Graph,
    known: CheckedEvidence | None,
    *,
    measured: bool = True,
) -> Clustering:
    """Cluster each block of the graph; one with a missing part stays unassigned.

    Args:
        run: that does.
        method: of it.
        plan: of it.
        nodes: of the level.
        graph: of the level.
        known: the evidence.
        measured: whether the clusters' stability is, on levels where that is done.
    """
    n = len(nodes.row)
    clustering = Clustering(
        labels=np.full(n, UNASSIGNED, dtype=np.int32),
        probabilities=np.zeros(n, dtype=np.float32),
        outlier_scores=np.full(n, np.nan, dtype=np.float32),
        offers=no_offers(n),
    )
    algorithm = ALGORITHMS[method.algorithm].load()
    for number, (rows, block) in enumerate(blocks(plan, nodes, graph, known)):
        if block is not None:
            found = algorithm(block, run.settings, method)
            clustering.add(number, rows, found)
            clustering.offers.enter(rows, nearest_clusters(block, found.labels, run.settings))
            clusters = int(found.labels.max(initial=-1)) + 1
            again = np.full(clusters, np.nan)
            if measured:
                again = stability(block, found, run.settings, method, n)
            clustering.stability = np.append(clustering.stability, again)
    return clustering


def _all_anew(
    run: Run,
    method: Method,
    snapshot: Result,
    plan: Result,
    nodes: Nodes,
    graph: Graph,
    *,
    measured: bool = True,
) -> Clustering:
    check = run.settings.evidence.check
    known = evidence(snapshot, plan, nodes, graph, method, check=check)
    adapted = adapt(method, run.settings, known, plan, nodes, graph)
    clustering = _cluster(run, adapted, plan, nodes, graph, known, measured=measured)
    clustering.evidence = measure_evidence(known) if known else {}
    clustering.learned = learned(known, clustering.facts)
    clustering.facts = clustering.facts | {"new_since_full": 0}
    return clustering


def _continued(
    run: Run,
    method: Method,
    base: Base,
    snapshot: Result,
    plan: Result,
    nodes: Nodes,
    graph: Graph,
) -> Clustering:
    """Go on from the base's clustering; an outlier policy goes over all noise again."""
    checked = {n: v for n, v in base.merge.metrics.items() if n.startswith("evidence.")}
    reason = former_reasons(base, plan)
    if _clustered_anew(run, nodes, graph):
        anew = _all_anew(run, method, snapshot, plan, nodes, graph, measured=False)
        checked = anew.evidence
        with open_vectors(snapshot.path("vectors")) as vectors:
            named = _reconciled(run, method, snapshot, plan, nodes, anew.labels, vectors)
        if named is not None:
            reason = np.where(named.reason >= 0, named.reason, reason)
        labels = anew.labels if named is None else named.labels
        found = Anew(labels, anew.probabilities, anew.outlier_scores, anew.learned)
        grown = renew(base, plan, nodes, found)
    else:
        grown = grow(run, method, base, snapshot, plan, nodes, graph)
    clusters, first = np.unique(grown.labels, return_index=True)
    clustering = Clustering(
        labels=grown.labels,
        probabilities=grown.probabilities,
        outlier_scores=grown.outlier_scores,
        block=nodes.block[first[clusters >= 0]],
        facts=dict(grown.learned.facts) | grown.metrics,
        stability=np.full(int((clusters >= 0).sum()), np.nan),
        offers=no_offers(len(nodes.row)),
        evidence=checked,
        learned=grown.learned,
        reason=reason,
    )
    if run.settings.outliers.policy in ("nearest", "target"):
        known = known_evidence(snapshot, plan, nodes, grown.learned)
        for rows, block in blocks(plan, nodes, graph, known):
            if block is not None:
                own = without_gaps(grown.labels[rows])
                clustering.offers.enter(rows, nearest_clusters(block, own, run.settings))
    return clustering


def _clustered_anew(run: Run, nodes: Nodes, graph: Graph) -> bool:
    """Whether a continued run clusters the level anew: where that costs less than a second."""
    asked_to_vote = run.settings.incremental.vote_similarity is not None
    return len(nodes.row) <= LARGEST and not asked_to_vote and bool(graph.complete.all())


def _reasons(reconciled: Reconciled | None, clustering: Clustering) -> I32:
    """Say why nodes are where names put them, now or in the run before: (n,), else -1."""
    before = clustering.reason
    if before is None:
        before = np.full(len(clustering.labels), -1, dtype=np.int32)
    return (
        before
        if reconciled is None
        else np.where(reconciled.reason >= 0, reconciled.reason, before)
    )


def _counts(labels: I32, clusters: int, parts: int) -> dict[str, Metric]:
    counts = {
        "read": len(labels),
        "clustered": int((labels >= 0).sum()),
        "noise": int((labels == NOISE).sum()),
        "filtered": int((labels == FILTERED).sum()),
        "unassigned": int((labels == UNASSIGNED).sum()),
    }
    if counts["read"] != sum(counts.values()) - counts["read"]:
        raise AssertionError(f"items lost: {counts}")
    return {**counts, "clusters": clusters, "parts": parts}


def _write(
    attempt: Attempt,
    nodes: Nodes,
    graph: Graph,
    clustering: Clustering,
    labels: I32,
    probabilities: F32,
    kinds: "pd.Series[str]",
    similarity: F32,
    reason: I32,
    sums: ClusterSums,
) -> None:
    status = np.select([labels == code for code in CODES.values()], list(CODES), "clustered")
    clustered = pd.Series(labels >= 0)
    assignments = pd.DataFrame(
        {
            "cluster": pd.Series(labels, dtype="Int32").where(clustered),
            "status": pd.Series(status, dtype="str"),
            "assignment": kinds,
            "probability": pd.Series(probabilities).where(labels != UNASSIGNED),
            "similarity": similarity,
            "near_duplicate": nodes.of_rows(near_duplicates(graph.ids, graph.distances), -1),
            "outlier_score": nodes.of_rows(clustering.outlier_scores, np.nan),
            "reason": as_words(np.where(clustered, nodes.of_rows(reason, -1), -1)),
        }
    )
    write_clustering(attempt, assignments, sums)
    with attempt.new_file("tree", "tree.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **_joined(clustering.trees))


def _joined(
    trees: Iterable[dict[str, npt.NDArray[np.generic]]],
) -> dict[str, npt.NDArray[np.generic]]:
    """Put the blocks' arrays together by name."""
    arrays: dict[str, list[npt.NDArray[np.generic]]] = {}
    for tree in trees:
        for name, array in tree.items():
            arrays.setdefault(name, []).append(array)
    return {name: np.concatenate(found, axis=-1) for name, found in arrays.items()}
