"""`cluster` that is ended while it searches: a real process, signals, and the next try."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from clustering_tasks.errors import CHECKPOINTED
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import Run
from tests.conftest import Workbench
from tests.stage3_folder import blobs

VECTORS = blobs([100] * 80, noise=2000)
# So short that each block has the fewest rows, 512, and is written when it is found.
SHORT = {"STAGE4_CHECKPOINT_SECONDS": "0.001", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def metadata() -> list[dict[str, Any]]:
    return [{"domain": "sports"} for _ in VECTORS]


def planned(workbench: Workbench, job: str, **settings: Any) -> Run:
    run = workbench.start("events", job, **settings)
    snapshot(run)
    plan(run)
    return run


@pytest.fixture
def run(workbench: Workbench, metadata: list[dict[str, Any]]) -> Run:
    workbench.stage3.write("events", VECTORS, metadata)
    return planned(workbench, "job", parts={"max_count": 1})


def start(run: Run, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "clustering_tasks", "cluster", "--level", "events"]
    command += ["--workspace", str(run.workspace), "--job", run.job_id, "--part", "0"]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | SHORT | environment,
    )


def finish(run: Run, **environment: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Let a try run to its end; returns its result and its logs."""
    with start(run, **environment) as process:
        output, logs = process.communicate(timeout=300)
    assert process.returncode == 0, logs
    return orjson.loads(output.splitlines()[-1]), [orjson.loads(line) for line in logs.splitlines()]


def folder(run: Run) -> Path:
    return Path(run.folder.path) / "cluster-0.checkpoint"


def blocks(run: Run) -> list[Path]:
    return sorted(folder(run).glob("*.npz"))


def nodes_in(files: list[Path]) -> int:
    return sum(len(np.load(file)["nodes"]) for file in files)


def end(run: Run, number: signal.Signals, **environment: str) -> tuple[int, str]:
    """Start a try and end it by a signal when it has kept a block more than there were."""
    before = len(blocks(run))
    with start(run, **environment) as process:
        while len(blocks(run)) <= before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        asked = time.monotonic()
        process.send_signal(number)
        _, logs = process.communicate(timeout=60)
    sys.stdout.write(f"{number.name}: gone after {time.monotonic() - asked:.3f} s\n")
    return process.returncode, logs


def graph(run: Run) -> dict[str, bytes]:
    record = orjson.loads((Path(run.folder.path) / "cluster-0.json").read_bytes())
    with np.load(record["files"]["graph"]) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


def undisturbed(run: Run) -> dict[str, bytes]:
    """The graph of a try in one go, as if nothing were kept; the artefact is removed again."""
    finish(run, STAGE4_CHECKPOINT_SECONDS="0")
    found = graph(run)
    artefacts = Path(run.workspace.path) / "events" / "artefacts" / "cluster"
    for record in artefacts.glob("*/result.json"):
        record.unlink()
    (Path(run.folder.path) / "cluster-0.json").unlink()
    return found


def attempts(run: Run) -> list[Path]:
    """Folders of attempts of an artefact that has no result."""
    artefacts = Path(run.workspace.path) / "events" / "artefacts" / "cluster"
    return [path for path in artefacts.glob("*/*/") if not (path.parent / "result.json").exists()]


def test_sigterm_keeps_what_was_found_and_the_next_try_goes_on(run: Run) -> None:
    expected = undisturbed(run)
    left_before = len(attempts(run))
    code, logs = end(run, signal.SIGTERM)
    assert code == CHECKPOINTED
    last = orjson.loads(logs.splitlines()[-1])
    kept = blocks(run)
    assert (last["event"], last["kept_blocks"]) == ("terminated", len(kept))
    assert len(attempts(run)) == left_before
    searched = nodes_in(kept)
    assert 0 < searched < len(VECTORS)

    result, logs_of_next = finish(run)
    metrics = result["metrics"]
    assert (metrics["blocks_from_checkpoint"], metrics["nodes_from_checkpoint"]) == (
        len(kept),
        searched,
    )
    assert metrics["search"] == "exact"
    (told,) = [line for line in logs_of_next if "checkpoint" in line["event"]]
    assert (told["blocks"], told["nodes"]) == (len(kept), searched)
    assert told["left"] == metrics["searched"] - searched
    assert graph(run) == expected
    assert not folder(run).exists()


def test_sigkill_costs_the_unfinished_block_each_time(run: Run) -> None:
    expected = undisturbed(run)
    for _ in range(3):
        before = blocks(run)
        code, _ = end(run, signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert set(before) < set(blocks(run))
    kept = blocks(run)
    # no row is twice in what three tries have kept
    assert nodes_in(kept) == len(np.unique(np.concatenate([np.load(f)["nodes"] for f in kept])))
    result, _ = finish(run)
    assert result["metrics"]["blocks_from_checkpoint"] == len(kept)
    assert graph(run) == expected
    assert not folder(run).exists()


def test_a_damaged_block_is_searched_again(run: Run) -> None:
    expected = undisturbed(run)
    end(run, signal.SIGKILL)
    end(run, signal.SIGTERM)
    damaged, *others = blocks(run)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    searched = nodes_in(others)
    result, logs = finish(run)
    assert result["metrics"]["nodes_from_checkpoint"] == searched
    assert any("damaged" in line["event"] for line in logs)
    assert graph(run) == expected


def test_another_snapshot_and_other_settings_find_nothing(
    run: Run, workbench: Workbench, metadata: list[dict[str, Any]]
) -> None:
    end(run, signal.SIGTERM)
    kept = {file.name: file.read_bytes() for file in blocks(run)}
    moved = VECTORS[::-1].copy()
    for change in ("neighbours.k", "snapshot"):
        if change == "snapshot":
            workbench.stage3.write("events", moved, metadata)
        other = {"neighbours.k": 20} if change == "neighbours.k" else {}
        again = planned(workbench, "job", parts={"max_count": 1}, **other)
        folder(again).mkdir(exist_ok=True)
        for name, content in kept.items():
            (folder(again) / name).write_bytes(content)
        result, logs = finish(again)
        assert result["metrics"]["blocks_from_checkpoint"] == 0
        assert sum("of other inputs" in line["event"] for line in logs) == len(kept)
        found = graph(again)
        assert not folder(again).exists()
        assert found == undisturbed(again)


def test_a_step_that_has_kept_nothing_ends_as_before(run: Run) -> None:
    with start(run, STAGE4_CHECKPOINT_SECONDS="0") as process:
        artefacts = Path(run.workspace.path) / "events" / "artefacts" / "cluster"
        while not list(artefacts.glob("*/*/")):
            assert process.poll() is None
            time.sleep(0.002)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not folder(run).exists()
