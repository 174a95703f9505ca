"""A level for which memory or disk is too small; only what is available is pretended."""

import re
from pathlib import Path

import pytest

from clustering_tasks.steps.cluster.cluster import cluster
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import blobs, scattered


@pytest.mark.parametrize(
    ("available", "message"),
    [
        ("available_memory", r"too little memory: about 0\.4 GB .* 0\.0 GB .*larger machine"),
        (
            "available_disk",
            r"too little disk: about 0\.0 GB .*Free space in .*workspace",
        ),
    ],
)
def test_plan_says_so_before_the_work(
    cli: CommandLine,
    workbench: Workbench,
    monkeypatch: pytest.MonkeyPatch,
    available: str,
    message: str,
) -> None:
    workbench.stage3.write("events", scattered(100))
    workbench.start("events", "large")
    place = ("--level", "events", "--workspace", workbench.workspace, "--job", "large")
    arguments = ("--indices", workbench.stage3.path, "--set", "input.dimension=16")
    assert cli("snapshot", *place, *arguments).code == 0
    monkeypatch.setattr(f"clustering_tasks.steps.plan.plan.{available}", lambda *_: 1000)
    outcome = cli("plan", *place)
    assert outcome.code == 69
    assert re.search(message, outcome.error), outcome.error
    assert not (Path(workbench.workspace.path) / "events" / "runs" / "large" / "plan.json").exists()
    monkeypatch.undo()
    assert cli("plan", *place).code == 0


def test_complete_linkage_of_too_many_names_the_ways_out(
    cli: CommandLine, workbench: Workbench
) -> None:
    workbench.stage3.write("documents", blobs([30], spread=0.05))
    settings = {
        "algorithm": "agglomerative",
        "agglomerative": {"linkage": "complete", "cut_similarity": 0.3, "max_component": 29},
    }
    run = workbench.start("documents", "large", **settings)
    snapshot(run)
    for part in plan(run).parts or []:
        cluster(run, part.part)
    outcome = cli("merge", *place_of(workbench, "documents", "large"))
    assert outcome.code == 69
    assert "30 different vectors hang together" in outcome.error
    settings["agglomerative"] = {"linkage": "complete", "cut_similarity": 0.3, "max_component": 30}
    assert workbench.perform("documents", "fits", **settings)["clusters"] == 1


def place_of(workbench: Workbench, level: str, job: str) -> tuple[object, ...]:
    return ("--level", level, "--workspace", workbench.workspace, "--job", job)
