"""Jobs that are paused and canceled in the middle of the search, in a real Airflow."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
import pytest

from local.sample import write_sample
from stage4.job_ids import job_id
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published
from tests.e2e.test_runs_broken import DAG_ID, LEVEL, Spoilt, gone, spoiling
from tests.e2e.test_runs_controlled import Json, ask, attempts, job, run_of, submit

pytestmark = pytest.mark.airflow

DOCUMENTS = 400  # enough events for several of the smallest blocks
# The real step, but that each block of its search is written, and the third does not end.
SLOW = """STAGE4_CHECKPOINT_SECONDS=0.001 exec {python} -c '
import os, pathlib, sys, time
from clustering_tasks import cli
from clustering_tasks.steps.cluster import search

find = search.search_rows
blocks = []

def slowly(*given):
    time.sleep(600 * (len(blocks) > 1))
    blocks.append(find(*given))
    return blocks[-1]

search.search_rows = slowly
pathlib.Path("{pids}.draft").write_text(f"{{os.getpid()}} {{os.getppid()}}")
pathlib.Path("{pids}.draft").rename("{pids}")
sys.argv = ["clustering_tasks", *sys.argv[3:]]
cli.main()
' "$@" """


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage3") / "large"
    write_sample(folder, documents=DOCUMENTS, seed=2)
    return folder


@contextmanager
def searching_slowly(airflow: Airflow, large: Path, folder: Path) -> Iterator[Spoilt]:
    spoil = SLOW.format(pids=folder / "pids", python=shlex.quote(sys.executable))
    with airflow.reading(large), spoiling(airflow, folder, '*" cluster "*', spoil) as spoilt:
        yield spoilt


def run_folder(airflow: Airflow, started: Json) -> Path:
    return airflow.workspace / LEVEL / "runs" / job_id(DAG_ID, started["dag_run_id"])


def blocks(airflow: Airflow, started: Json) -> list[Path]:
    return sorted(run_folder(airflow, started).glob("cluster-0.checkpoint/*.npz"))


def wait_for_blocks(airflow: Airflow, started: Json, count: int) -> None:
    deadline = time.monotonic() + 180
    while len(blocks(airflow, started)) < count:
        assert time.monotonic() < deadline, "the step keeps nothing"
        time.sleep(0.1)


def wait_for_state(airflow: Airflow, started: Json, state: str) -> None:
    deadline = time.monotonic() + 180
    while airflow.task_instances(run_of(started))["cluster", 0]["state"] != state:
        assert time.monotonic() < deadline, airflow.task_instances(run_of(started))["cluster", 0]
        time.sleep(0.5)


def current(airflow: Airflow) -> bytes:
    """The pointer to the published run."""
    pointer = airflow.workspace / LEVEL / "published.json"
    return pointer.read_bytes() if pointer.exists() else b""


def test_a_search_that_is_paused_now_goes_on_from_its_last_block(
    airflow: Airflow, large: Path, tmp_path: Path
) -> None:
    with searching_slowly(airflow, large, tmp_path) as spoilt:
        started = submit(airflow, **{"parts.max_count": 1, "neighbours.k": 22})
        step, task = spoilt.process()
        wait_for_blocks(airflow, started, 2)
        asked = time.monotonic()
        ask(airflow, "PATCH", f"jobs/{started['job_id']}", {"action": "pause", "now": True})
        gone(step, task)
        sys.stdout.write(f"pause --now: gone after {time.monotonic() - asked:.1f} s\n")
        wait_for_state(airflow, started, "deferred")
        kept = blocks(airflow, started)
        searched = sum(len(np.load(file)["nodes"]) for file in kept)
        assert job(airflow, started)["state"] == "paused"

        spoilt.switch.unlink()
        ask(airflow, "PATCH", f"jobs/{started['job_id']}", {"action": "resume"})
        ended = airflow.api.wait(DAG_ID, started["dag_run_id"])
    assert ended["state"] == "success", airflow.explain(ended)
    metrics = orjson.loads((run_folder(airflow, started) / "cluster-0.json").read_bytes())[
        "metrics"
    ]
    sys.stdout.write(f"{metrics}\n")
    assert metrics["blocks_from_checkpoint"] == len(kept) == 2
    assert metrics["nodes_from_checkpoint"] == searched
    assert searched < metrics["searched"]
    assert blocks(airflow, started) == []
    assert published(airflow, LEVEL).job_id == job_id(DAG_ID, started["dag_run_id"])


def test_a_search_that_is_canceled_leaves_nothing(
    airflow: Airflow, large: Path, tmp_path: Path
) -> None:
    before, unfinished = current(airflow), attempts(airflow, "cluster")
    with searching_slowly(airflow, large, tmp_path) as spoilt:
        started = submit(airflow, **{"parts.max_count": 1, "neighbours.k": 21})
        step, task = spoilt.process()
        wait_for_blocks(airflow, started, 1)
        asked = time.monotonic()
        ask(airflow, "DELETE", f"jobs/{started['job_id']}")
        gone(step, task)
        sys.stdout.write(f"cancel: gone after {time.monotonic() - asked:.1f} s\n")
    assert job(airflow, started)["state"] == "canceled"
    assert not (run_folder(airflow, started) / "cluster-0.checkpoint").exists()
    assert attempts(airflow, "cluster") == unfinished
    assert current(airflow) == before
    assert airflow.task_instances(run_of(started))["publish", -1]["state"] == "skipped"
