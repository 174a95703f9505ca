"""Compiling every kernel before the first task needs it."""

import os
import time
from pathlib import Path

import numpy as np

from clustering_tasks.engine.approximation import link_back, link_changed, recall
from clustering_tasks.engine.cells import nearest_cells, train_cells
from clustering_tasks.engine.centroids import add_rows, cluster_sums
from clustering_tasks.engine.common_part import shift_without_giants
from clustering_tasks.engine.complete_linkage import complete_linkage
from clustering_tasks.engine.condensed_tree import condense, select
from clustering_tasks.engine.decay import decay_of
from clustering_tasks.engine.density_validity import relative_validity
from clustering_tasks.engine.descent import descend
from clustering_tasks.engine.kmeans import kmeans
from clustering_tasks.engine.label_propagation import propagate
from clustering_tasks.engine.label_retrieval import heaviest_apart, rewards
from clustering_tasks.engine.linkage import average_linkage
from clustering_tasks.engine.main_axes import turn
from clustering_tasks.engine.modularity import modularity
from clustering_tasks.engine.mutual import mutual_neighbours
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.engine.neighbours import Cells, exact_neighbours, search
from clustering_tasks.engine.one_story import join_parts
from clustering_tasks.engine.quality import fit, mean_spread, separation, silhouette
from clustering_tasks.engine.row_files import read_rows
from clustering_tasks.engine.silhouette_cut import choose_cut
from clustering_tasks.engine.smoothing import smooth
from clustering_tasks.engine.spanning_tree import core_distances, spanning_tree
from clustering_tasks.engine.text_digests import digest_texts
from clustering_tasks.engine.time_gaps import find_gaps, split_at_gaps
from clustering_tasks.engine.trimming import products as products_of_pairs
from clustering_tasks.engine.tsne import Grid, push_on_grid, tsne
from clustering_tasks.engine.unit_rows import checked, digest_rows, unit_rows
from clustering_tasks.engine.ward_linkage import ward_linkage
from clustering_tasks.engine.window import Window, blank
from clustering_tasks.evidence.stories import products
from clustering_tasks.evidence.words import shares_of_smaller
from clustering_tasks.stage3.json_marks import find_marks, has_digits


def warm_up() -> float:
    """Run the engine on a few vectors, which compiles its kernels into the cache.

    Returns:
        seconds that it took.
    """
    started = time.perf_counter()
    checked(np.eye(12, dtype=np.float32))
    vectors = unit_rows(np.eye(12, dtype=np.float32))
    digest_rows(vectors)
    digest_texts(np.arange(2), b"a")
    with Path(os.devnull).open("rb") as nothing:
        read_rows(nothing.fileno(), 0, np.arange(1), np.empty_like(vectors))
    find_marks(b"{}", 0, 1)
    has_digits(b"{}", 1)
    weight = np.ones(12, dtype=np.int32)
    found = exact_neighbours(vectors, 0, 12, 4)
    probes = nearest_cells(vectors, train_cells(vectors, 2), 2)
    window = Window(np.zeros((12, 2)), 1.0)
    search(vectors, Cells(np.array([0, 6, 12]), probes), 0, 12, 4, window)
    recall(vectors, link_back(found.ids, found.distances)[0])
    link_changed(found.ids.copy(), found.distances.copy(), *np.ones((2, 12), dtype=bool))
    descend(vectors, found, window)
    mutual_neighbours(found.ids, 2)
    shift_without_giants(vectors, weight)
    core = core_distances(found.ids, found.distances, weight, 2)
    smoothed = smooth(vectors, found.ids, found.distances, weight)
    choose_cut(average_linkage(smoothed, found.ids, weight, -1.0), smoothed, found.ids, weight)
    other = np.zeros(12, dtype=np.float32)
    labels = np.arange(12, dtype=np.int32)
    products(vectors, labels, labels, other)
    products_of_pairs(vectors, vectors, other)
    shares_of_smaller(labels, labels, labels[:-1], labels[:-1], other)
    dated = np.zeros((12, 2))
    tree = average_linkage(smoothed, found.ids, weight, -1.0, decay_of(dated, 1.0))
    choose_cut(tree, smoothed, found.ids, weight, None, decay_of(dated, 1.0))
    join_parts(labels, vectors, 0)
    split_at_gaps(labels, find_gaps(labels, dated, 1.0), found.ids, weight, 1.0)
    propagate(found.ids, 1 - found.distances, weight, -1.0, 3)
    nearest_centroids(vectors, kmeans(vectors, weight, 3, 12))
    ward_linkage(vectors, found.ids, weight, -np.inf)
    complete_linkage(vectors, found.ids, 1 - found.distances, -1.0, 12)
    blank(np.zeros((12, 12), dtype=np.float32), labels, 0, dated, 1.0)
    edges = spanning_tree(vectors, found.ids, found.distances, core)
    select(condense(edges, weight, 3))
    relative_validity(edges.first, edges.second, edges.reachability, labels, weight)
    modularity(found.ids, found.distances, labels)
    sums = cluster_sums([(0, vectors)], labels, 12, 12)
    sums.grouped(labels)
    add_rows(vectors, labels, np.zeros_like(vectors))
    fitted = fit([(0, vectors)], labels, sums)
    silhouette(fitted, labels, sums)
    tsne(vectors)
    push_on_grid(Grid(), np.zeros((12, 2)), np.empty((12, 2)))
    turn(np.eye(12), np.array([0, 6, 12]), np.empty((12, 2)))
    separation(mean_spread(fitted, labels, sums), sums)
    said = np.ones(2, dtype=np.int32)
    two = np.array([2, 2])
    none = np.zeros(2, dtype=np.int64)
    list(rewards(np.arange(3), none, said, other[:2], two, [0, 2]))
    heaviest_apart(np.arange(3), none, 2, other[:2], np.full((2, 1), -1))
    return time.perf_counter() - started
