"""What this project finds with its default settings."""

import logging
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import structlog
from upath import UPath

from clustering_tasks.pipeline import run_all
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace.artefacts import Run
from tests.benchmarks.collection import Collection, write_collection

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def quiet() -> None:
    """Leave out the steps' logs: a benchmark makes hundreds of runs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def new_run(
    indices: Path, workspace: Path, level: str, settings: dict[str, Any], job: str = "benchmark"
) -> Run:
    """Start a run of a level of a folder."""
    run = Run(
        workspace=UPath(workspace),
        level=LEVELS[level],
        job_id=job,
        indices=str(indices),
        as_of=AS_OF,
        settings=run_settings(settings),
    )
    run.start()
    return run


def found(collection: Collection, level: str, **settings: Any) -> list[str | None]:
    """Cluster a level by all steps of a run; return the cluster of each item, None for noise."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "indices"
        write_collection(collection, folder)
        return found_in(folder, level, collection.levels[level].names, **settings)


def found_in(folder: Path, level: str, names: Sequence[str], **settings: Any) -> list[str | None]:
    """Cluster a level of a folder; return the cluster of each of its items, None for noise.

    Args:
        folder: of Stage 3.
        level: by its name.
        names: vector ids of the items.
        settings: beside the defaults, by nested or dotted names.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = new_run(folder, Path(scratch) / "workspace", level, settings)
        done = run_all(run, UPath(scratch) / "output")
        members = pq.read_table(done["members_parquet"], columns=["vector_id", "cluster_id"])
    of = dict(zip(*(members[name].to_pylist() for name in members.column_names), strict=True))
    return [of[name] for name in names]
