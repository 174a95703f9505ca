"""What the step `identify` costs: the second run of many items, one in a hundred of them new.

python -m tests.benchmarks.identity_cost 200000 1000000
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import I64
from clustering_tasks.identity.published import publish_registry
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.identify.identify import identify
from clustering_tasks.workspace.artefacts import Attempt, Run, perform
from clustering_tasks.workspace.storage import to_json, write_atomically
from tests.benchmarks import ours
from tests.benchmarks.history import Figure, add, new_entry

_AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
_PER_CLUSTER, _NOISE, _NEW, _MOVED = 8, 0.2, 0.01, 0.05
_PER_DOCUMENT = 5


def main() -> None:
    """Measure both runs of each size; add the figures to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("items", type=int, nargs="+")
    given = parser.parse_args()
    ours.quiet()
    load = os.getloadavg()[0]
    for items in given.items:
        figures = measure(items)
        print(f"{items}: {figures}", flush=True)
        entry: dict[str, Figure] = {
            f"identity_cost/{items}/{name}": value for name, value in figures.items()
        }
        add(new_entry(entry, load))


def measure(items: int) -> dict[str, float]:
    """Perform the step for two runs; processor seconds, clusters, bytes of the registry."""
    draw = np.random.default_rng(items)
    figures: dict[str, float] = {}
    first = _clusters(items - int(_NEW * items), draw)
    with tempfile.TemporaryDirectory() as scratch:
        for day, (name, clusters) in enumerate(
            {"first": first, "second": _next(first, items, draw)}.items()
        ):
            run = _run(UPath(scratch), f"day-{day}", _AS_OF + timedelta(days=day))
            _write_inputs(run, clusters)
            began = time.process_time()
            result = identify(run)
            figures[f"{name}_cpu_seconds"] = time.process_time() - began
            uri = publish_registry(run.workspace, run.level.name, run.job_id)
            pointer = run.workspace / run.level.name / "published.json"
            write_atomically(pointer, to_json({"identities": uri}))
            files = ("identities", "items")
            figures["registry_mb"] = sum(Path(result.files[f]).stat().st_size for f in files) / 1e6
        figures["clusters"] = float(clusters.max() + 1)
        figures["born"] = float(result.metrics["born"] or 0)
    return figures


def _clusters(items: int, draw: np.random.Generator) -> I64:
    clusters = draw.integers(items // _PER_CLUSTER, size=items)
    clusters[draw.random(items) < _NOISE] = -1
    return _renumbered(clusters)


def _next(before: I64, items: int, draw: np.random.Generator) -> I64:
    """Add items, and move some to other clusters."""
    clusters = np.append(before, draw.integers(-1, before.max() + 1, size=items - len(before)))
    moved = draw.random(items) < _MOVED
    clusters[moved] = draw.integers(-1, before.max() + 1, size=int(moved.sum()))
    return _renumbered(clusters)


def _renumbered(clusters: I64) -> I64:
    found, numbers = np.unique(clusters, return_inverse=True)
    return np.asarray(numbers - int(found[0] < 0), dtype=np.int64)


def _run(workspace: UPath, job: str, as_of: datetime) -> Run:
    run = Run(workspace, LEVELS["events"], job, "", as_of, run_settings({}))
    run.start()
    return run


def _write_inputs(run: Run, clusters: I64) -> None:
    n = len(clusters)
    # Sorted, as a snapshot's; new items are the last.
    documents = [f"doc_{number // _PER_DOCUMENT:08d}" for number in range(n)]
    names = [f"event_emb_{name}_event_{row % _PER_DOCUMENT}" for row, name in enumerate(documents)]
    items = pa.table({"vector_id": names, "document_id": documents})
    assignments = pa.table(
        {
            "cluster": pa.array(clusters, pa.int32(), mask=clusters < 0),
            "status": np.where(clusters < 0, "noise", "clustered"),
            "near_duplicate": pa.array(np.arange(n), pa.int32()),
        }
    )

    def write(attempt: Attempt, name: str, table: pa.Table) -> None:
        pq.write_table(table, str(attempt.new_file(name, f"{name}.parquet")))
        attempt.metrics = {"clusters": int(clusters.max() + 1)}

    perform(run, "snapshot", run.job_id, lambda attempt: write(attempt, "items", items))
    perform(run, "merge", run.job_id, lambda attempt: write(attempt, "assignments", assignments))


if __name__ == "__main__":
    main()
