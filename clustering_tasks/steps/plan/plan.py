"""Step `plan`: cut a level into parts for mapped tasks, and check beforehand that it fits."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from clustering_tasks.algorithms.costs import forecast_level
from clustering_tasks.algorithms.method import Method, record_method, resolve_method
from clustering_tasks.engine.unit_rows import Digests
from clustering_tasks.evidence.context_trust import checked_context
from clustering_tasks.graph.cell_order import (
    order_by_cell,
    save_cells,
    write_continued,
    write_features,
)
from clustering_tasks.graph.coded_cells import shared_blocks, write_codes
from clustering_tasks.graph.document_vectors import document_vectors
from clustering_tasks.graph.features import Features, centred, make_features
from clustering_tasks.graph.make_nodes import block_names, make_nodes, part_fields
from clustering_tasks.graph.missing_types import fill_missing_types
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.parts import Parts, make_parts
from clustering_tasks.graph.reuse import NodeKeys, fact_digests, node_digests
from clustering_tasks.graph.time_ranges import write_time_ranges
from clustering_tasks.graph.whole_blocks import whole_blocks
from clustering_tasks.incremental.base import Base
from clustering_tasks.incremental.mode import record_mode, resolve_mode
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.plan.continued import Continued, continued
from clustering_tasks.steps.plan.filters import COLUMNS as FILTERED_BY
from clustering_tasks.steps.plan.filters import kept_rows
from clustering_tasks.steps.plan.story_vectors import story_vectors
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Part,
    Result,
    Run,
    artefact_key,
    made_by_another_version,
    perform,
)
from clustering_tasks.workspace.columns import digests_of, read_columns
from clustering_tasks.workspace.resources import available_disk, available_memory, check_fits
from clustering_tasks.workspace.vector_files import open_vectors

# What evidence reads of an item.
FACTS = (
    *("mention", "document_id", "sentence", "domain", "event_type"),
    *("start_time", "end_time"),
)


def plan(run: Run) -> Result:
    """Make the nodes and the parts of a level.

    Raises:
        ResourcesError: when memory or disk cannot hold the work that follows.
    """
    snapshot, context = run.result("snapshot"), run.find_result("context")
    settings = run.settings
    method = resolve_method(settings, run.level, int(snapshot.metrics["items"] or 0))
    read = {
        "scope": settings.scope,
        "parts": settings.parts.model_dump(),
        "neighbours": settings.neighbours.model_dump(),
        "filter": settings.filter.model_dump(mode="json"),
        "centred": method.centred,
        "context_weight": method.context_weight,
        "check_context": bool(method.context_weight) and settings.evidence.check,
        "stories": method.weights.story_similarity_floor > 0,
        "documents": method.weights.document_weight > 0,
        "whole_blocks": _whole_blocks(settings),
    }
    inputs = [snapshot] if context is None else [snapshot, context]
    mode = resolve_mode(run, method)
    extra: object = run.level.name
    if mode.base is not None:
        extra = [run.level.name, mode.base.keys]
    key = artefact_key("plan", inputs, read, extra)
    result = perform(
        run, "plan", key, lambda attempt: _plan(run, method, snapshot, context, mode.base, attempt)
    )
    record_mode(run, mode)
    record_method(run, method)  # the last: a plan that failed leaves the method of its forerunner
    return result


def _plan(
    run: Run,
    method: Method,
    snapshot: Result,
    context: Result | None,
    base: Base | None,
    attempt: Attempt,
) -> None:
    columns = ["first_identical_row", *FILTERED_BY]
    with snapshot.path("items").open("rb") as file:
        if missing := {*columns, "vector_digest"} - set(pq.read_schema(file).names):
            raise made_by_another_version("snapshot", snapshot.uri, f"column {sorted(missing)}")
        items = pd.read_parquet(file, columns=columns)
    if run.level.blocked_by and items[run.level.blocked_by].isna().any():
        mentions = read_columns(snapshot.path("items"), ["mention"])["mention"].to_pylist()
        with open_vectors(snapshot.path("vectors")) as file:
            types = items[run.level.blocked_by]
            items[run.level.blocked_by] = fill_missing_types(types, mentions, file)
    kept = kept_rows(items, run.settings.filter)
    nodes = make_nodes(items, run.level, run.settings, kept)
    dimension = int(snapshot.metrics["dimension"] or 0)
    sizes = np.diff(nodes.block_bounds())
    forecast = forecast_level(sizes, dimension, run.settings, method.algorithm)
    check_fits(
        forecast["memory_bytes"],
        available_memory(),
        "memory",
        "Use a larger machine, or scope=domain, which holds one domain at a time",
    )
    check_fits(
        forecast["disk_bytes"],
        available_disk(attempt.folder),
        "disk",
        f"Free space in {run.workspace}, or move STAGE4_WORKSPACE",
    )
    documents = document_vectors(items["document_id"].iloc[nodes.row], context)
    with open_vectors(snapshot.path("vectors")) as file:
        features = make_features(file, nodes, documents, method)
        facts, of_row = _facts(snapshot, method), _row_digests(snapshot)
        names = block_names(items, run.level, run.settings, nodes)
        since: Continued | None = None
        if base is None:
            features = _fitted(run, method, features, nodes)
        else:
            since = continued(base, features, nodes, names, of_row, facts)
            features, nodes = since.features, since.nodes
        cells = None if since is None else since.cells
        ordered = order_by_cell(features, nodes, run.settings.neighbours, cells)
        since = None if since is None else since.ordered(ordered.order)
        written = attempt.new_file("features", "features.npy")
        if since is None or base is None:
            write_features(written, ordered)
        else:
            with open_vectors(base.plan.path("features")) as before:
                write_continued(written, ordered, since.former, before)
    features = ordered.features
    nodes, documents = ordered.nodes, features.documents
    nodes.save(attempt.new_file("nodes", "nodes.npz"))
    digests = node_digests(of_row, nodes, features, facts)
    keys = NodeKeys(digests, names, features.mean, features.context_weight, ordered.centres)
    keys.save(attempt.new_file("node_keys", "node_keys.npz"))
    if since is not None and base is not None:
        base.save(attempt.new_file("base", "base.json"))
        since.save(attempt.new_file("former", "former.npy"))
    if method.weights.document_weight:
        documents.save(attempt.new_file("documents", "documents.npz"))
    write_time_ranges(attempt.new_file("time_ranges", "time_ranges.npy"), snapshot, nodes)
    save_cells(attempt.new_file("cells", "cells.npz"), ordered.cells)
    if method.weights.story_similarity_floor:
        known = None if base is None else base.plan.path("story_vectors")
        stories = story_vectors(snapshot, items["document_id"], nodes, documents, of_row, known)
        stories.save(attempt.new_file("story_vectors", "story_vectors.npz"))
    parts = _parts(nodes, run, ordered.cells.keys()) if since is None else _one_part(nodes)
    with attempt.new_file("part_of_node", "part_of_node.npy").open("wb") as file:
        np.save(file, parts.of_node)
    codes = attempt.new_file("codes", "codes.bin")
    weights = attempt.new_file("code_weights", "code_weights.npz")
    shared = shared_blocks(nodes, parts.of_node, ordered.cells)
    with open_vectors(written) as file:
        write_codes(codes, weights, file, nodes, shared)
    attempt.parts = [
        Part(part=number, name=name, items=items)
        for number, (name, items) in enumerate(zip(parts.names, parts.items(nodes), strict=True))
    ]
    attempt.metrics = {
        "filtered": len(items) - int(kept.sum()),
        "nodes": len(nodes.row),
        "parts": len(parts.names),
        "context_weight": features.context_weight if context is not None else None,
        **({} if since is None else since.counts(nodes)),
        **forecast,
    }


def _fitted(run: Run, method: Method, features: Features, nodes: Nodes) -> Features:
    """Let all items decide how far the context counts, and what is taken off."""
    if run.settings.evidence.check:
        features = checked_context(features, nodes)
    return centred(features, nodes) if method.centred else features


def _facts(snapshot: Result, method: Method) -> npt.NDArray[np.uint64] | None:
    """Digest what evidence reads of the items; None where nothing but the vectors counts."""
    return fact_digests(snapshot.path("items"), FACTS) if method.weights.any() else None


def _row_digests(snapshot: Result) -> Digests:
    return digests_of(read_columns(snapshot.path("items"), ["vector_digest"])["vector_digest"])


def _one_part(nodes: Nodes) -> Parts:
    """One task searches all that is new: each would read all vectors."""
    return Parts(["what is new"], np.zeros(len(nodes.row), dtype=np.int32))


def _parts(nodes: Nodes, run: Run, in_cells: Collection[int]) -> Parts:
    """Cut the level into parts; for a GPU into whole blocks."""
    groups = "domains" if part_fields(run.level, run.settings) == ["domain"] else "types"
    if _whole_blocks(run.settings):
        return whole_blocks(nodes, run.settings.parts, groups)
    return make_parts(nodes, run.settings.parts, groups, in_cells)


def _whole_blocks(settings: RunSettings) -> bool:
    """Tell whether `cluster` is expected to search on a GPU."""
    device = settings.neighbours.device
    expected = device == "gpu" or (device == "auto" and deployment().gpu)
    return expected and settings.temporal.window_days is None
