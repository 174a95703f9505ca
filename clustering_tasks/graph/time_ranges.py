"""When the items of each node were: the hull of their dates."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import F64
from clustering_tasks.engine.window import Window
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.groups.graph import TemporalSettings
from clustering_tasks.workspace.artefacts import Result

_MICROSECONDS_PER_DAY = 86_400e6


def write_time_ranges(path: UPath, snapshot: Result, nodes: Nodes) -> None:
    """Write the first and last time of each node, in the order of the nodes."""
    with snapshot.path("items").open("rb") as file:
        items = pq.read_table(file, columns=["start_time", "end_time"])
    with path.open("wb") as file:
        np.save(file, node_spans(items, nodes), allow_pickle=False)


def read_time_ranges(plan: Result) -> F64:
    """Read what `write_time_ranges` wrote: (n, 2) float64 days since 1970, NaN for undated."""
    with plan.path("time_ranges").open("rb") as file:
        spans: F64 = np.load(file, allow_pickle=False)
    return spans


def read_window(plan: Result, settings: TemporalSettings, rows: slice) -> Window | None:
    """Read the window and the dates of consecutive nodes, None where no window is set."""
    if settings.window_days is None:
        return None
    return Window(read_time_ranges(plan)[rows], settings.window_days)


def node_spans(items: pa.Table, nodes: Nodes) -> F64:
    """First and last time of each node's items: (n, 2) float64 days since 1970, NaN for undated."""
    span = np.empty((len(nodes.row), 2))
    span[:, 0], span[:, 1] = np.inf, -np.inf
    start, end = (_days(items[name]) for name in ("start_time", "end_time"))
    rows = np.flatnonzero((nodes.node_of_row >= 0) & np.isfinite(start))
    np.minimum.at(span[:, 0], nodes.node_of_row[rows], start[rows])
    np.maximum.at(span[:, 1], nodes.node_of_row[rows], end[rows])
    span[~np.isfinite(span)] = np.nan
    return span


def _days(times: pa.ChunkedArray) -> F64:
    microseconds = times.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64(), safe=False)
    return np.asarray(microseconds.to_numpy() / _MICROSECONDS_PER_DAY)
