"""The map: what drawing it costs, how true it is, and how fast its views are.

    python -m tests.benchmarks.level_map 1000000

draws the items of `tests.benchmarks.independent`, a fiftieth as many clusters, and reads views of
the map from a PostgreSQL of its own, as the API does. Prints one JSON object.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psycopg
from psycopg.rows import dict_row
from sklearn.manifold import trustworthiness

from clustering_tasks.arrays import F32, I32
from clustering_tasks.steps.map.placement import (
    by_size,
    draw_members,
    place_clusters,
    place_members,
    radii,
)
from local.postgres import RESULTS, Postgres
from tests.benchmarks.independent import centre, stories
from tests.benchmarks.spectrum import DIMENSION, level_spectrum
from tests.benchmarks.store import store

_BLOCK = 32_768
_MEMBERS = 200_000
_LAID_OUT = 20_000
_SPANS = (2.2, 0.5, 0.1, 0.02)
_VIEWS = 100  # of each span
_JUDGED = 3000  # clusters of which the trustworthiness is computed
_T = TypeVar("_T")
Figures = dict[str, Any]


def main() -> None:
    """Draw, load, read, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("items", type=int)
    items = parser.parse_args().items
    figures: Figures = {"items": items}
    rows = drawn(items, figures)
    with tempfile.TemporaryDirectory(prefix="stage4-map-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # the server's user, where we are root, has to pass
        with store(folder) as connection:
            fill(connection, rows)
            figures |= asyncio.run(views(Postgres(folder / "postgres").url(RESULTS)))
    print(json.dumps(figures))


def drawn(items: int, figures: Figures) -> list[tuple[Any, ...]]:
    """Draw a level; returns rows of `stage4.points`."""
    labels = stories(items, np.random.default_rng([0, items]))
    sizes = np.bincount(labels[labels >= 0]).astype(np.int64)
    spectrum = level_spectrum("events")
    centroids = np.stack([centre(number, spectrum, 0) for number in range(len(sizes))])
    figures["clusters"] = len(sizes)
    place_clusters(centroids[:20], sizes[:20], 20)  # what is compiled at first use
    places = timed(figures, "clusters", lambda: place_clusters(centroids, sizes, _LAID_OUT))
    rows = timed(figures, "draw", lambda: draw_members(labels, sizes, _MEMBERS))
    spent = [0.0]
    blocks = members_of(labels, centroids, spent)
    around = timed(
        figures,
        "members",
        lambda: place_members(blocks, rows, labels[rows], centroids, places, radii(sizes)),
    )
    figures["members_seconds"] = round(figures["members_seconds"] - spent[0], 2)
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    judged = by_size(sizes)[:_JUDGED]
    figures["trustworthiness"] = round(
        trustworthiness(centroids[judged], places[judged], n_neighbors=15, metric="cosine"), 3
    )
    order = by_size(sizes)
    clusters = [
        (1, rank, "cluster", f"event_{n:012x}", None, *places[n].tolist(), int(sizes[n]))
        for rank, n in enumerate(order.tolist())
    ]
    members = [
        (1, len(order) + n, "member", f"event_{labels[row]:012x}", f"event_{row}", *place, None)
        for n, (row, place) in enumerate(zip(rows.tolist(), around.tolist(), strict=True))
    ]
    return clusters + members


def timed(figures: Figures, name: str, work: Callable[[], _T]) -> _T:
    """Do some work and note its seconds, and those of all processors."""
    wall, processors = time.perf_counter(), time.process_time()
    done = work()
    figures[f"{name}_seconds"] = round(time.perf_counter() - wall, 2)
    figures[f"{name}_cpu_seconds"] = round(time.process_time() - processors, 2)
    return done


def members_of(labels: I32, centroids: F32, spent: list[float]) -> Iterator[tuple[int, F32]]:
    """Make vectors around their centroids, a block at a time; making them adds to `spent`."""
    for start in range(0, len(labels), _BLOCK):
        began = time.perf_counter()
        own = labels[start : start + _BLOCK]
        rng = np.random.default_rng([1, start])
        noise = rng.standard_normal((len(own), DIMENSION), dtype=np.float32)
        block = centroids[own] + 0.03 * noise
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        spent[0] += time.perf_counter() - began
        yield start, block


def fill(connection: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
    """Load a run of these points; its clusters have rows as wide as real ones."""
    centroid = "[" + ",".join(["0.036"] * DIMENSION) + "]"
    for parent in ("clusters", "points"):
        connection.execute(
            f"CREATE TABLE stage4.{parent}_1 PARTITION OF stage4.{parent} FOR VALUES IN (1)"
        )
    columns = "load_id, rank, kind, cluster_id, vector_id, x, y, size"
    with connection.cursor().copy(f"COPY stage4.points ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(
        "INSERT INTO stage4.clusters (load_id, cluster_id, cluster_type, label, size, centroid,"
        " keywords, representatives, primary_entities, document_ids, record)"
        " SELECT 1, cluster_id, 'event', 'Leaders meet in Hiroshima ' || repeat(cluster_id, 3),"
        " size, %s, '[]', '[]', '[]', '[]', to_jsonb(repeat(cluster_id, 40))"
        " FROM stage4.points WHERE kind = 'cluster'",
        [centroid],
    )
    connection.execute("VACUUM ANALYZE stage4.points, stage4.clusters")


async def views(url: str) -> Figures:
    """Time views of several sizes, from the query to the answer's text."""
    from stage4.api.queries.points import Rectangle, read_view
    from stage4.api.queries.runs import RunKey
    from stage4.api.routes.map import MOST_POINTS, view_of

    run = RunKey("events", 1, None)  # type: ignore[arg-type]  # a view does not ask when
    rng = np.random.default_rng(7)
    figures: Figures = {}
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, row_factory=dict_row, prepare_threshold=None
    ) as connection:
        await connection.execute("SET jit = off")
        cursor = await connection.execute("SELECT x, y FROM stage4.points ORDER BY random()")
        middles = [(row["x"], row["y"]) for row in await cursor.fetchall()]
        for span in _SPANS:
            seconds, sizes = [], []
            for n in rng.integers(len(middles), size=_VIEWS).tolist():
                x, y = (0, 0) if span > 1 else middles[n]
                around = Rectangle(x - span / 2, y - span / 2, x + span / 2, y + span / 2)
                began = time.perf_counter()
                rows = await read_view(connection, run, around, MOST_POINTS + 1)
                sizes.append(len(view_of(run, rows, MOST_POINTS).model_dump_json()))
                seconds.append(time.perf_counter() - began)
            middle, high = np.quantile(seconds, [0.5, 0.95]) * 1000
            figures[f"view/{span}"] = {
                "p50_ms": round(middle, 1),
                "p95_ms": round(high, 1),
                "max_ms": round(max(seconds) * 1000, 1),
                "largest_kb": max(sizes) // 1024,
            }
    return figures


if __name__ == "__main__":
    main()
