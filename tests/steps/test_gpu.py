"""`cluster` on a double of CUDA (tests/cuda_double.py), from the plan to the report."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from clustering_tasks.engine import gpu as engine
from clustering_tasks.errors import ResourcesError, SettingsError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.steps.cluster.cluster import cluster
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import Result, Run
from tests.conftest import Workbench
from tests.cuda_double import CONTEXT, GIB, CudaCard, Machine
from tests.stage3_folder import blobs

MANY_PARTS = {"max_count": 12, "min_rows": 1}
VECTORS = blobs([400] * 4, noise=900)
DOMAINS = [{"domain": ("economic", "health", "sports")[i % 3]} for i in range(len(VECTORS))]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets an installation's variables."""

    def set_all(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"STAGE4_{name.upper()}", str(value).lower())
        deployment.cache_clear()

    yield set_all
    monkeypatch.undo()
    deployment.cache_clear()


@pytest.fixture
def machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Callable[..., None]
) -> Machine:
    environment(gpu=True)
    return Machine(monkeypatch, tmp_path, CudaCard(0))


def planned(workbench: Workbench, job: str = "job", **settings: Any) -> Run:
    workbench.stage3.write("events", VECTORS, DOMAINS)
    run = workbench.start("events", job, parts=MANY_PARTS, **settings)
    snapshot(run)
    plan(run)
    return run


def clustered(run: Run) -> list[Result]:
    return [cluster(run, part.part) for part in run.result("plan").parts or []]


def uuids(part: Result) -> list[str]:
    return [reading.uuid for reading in part.gpus or []]


def graph(run: Run, parts: list[Result]) -> tuple[Any, Any]:
    files = [np.load(part.path("graph").path) for part in parts]
    ids, distances = (np.concatenate([f[name] for f in files]) for name in ("ids", "distances"))
    return ids, distances


def report(done: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(Path(done["report"]).read_bytes())
    return found


def same_graph(a: tuple[Any, Any], b: tuple[Any, Any]) -> None:
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_block_is_one_part_and_the_graph_is_the_cpus(
    workbench: Workbench, machine: Machine
) -> None:
    gpu = planned(workbench)
    cpu = planned(workbench, "cpu", **{"neighbours.device": "cpu"})
    (part,) = clustered(gpu)
    many = clustered(cpu)
    assert len(many) > 1
    assert (part.metrics["search"], many[0].metrics["search"]) == ("gpu", "exact")
    assert many[0].metrics["gpu_reason"] == "neighbours.device=cpu"
    same_graph(graph(gpu, [part]), graph(cpu, many))


def test_with_domains_apart_each_is_one_part(workbench: Workbench, machine: Machine) -> None:
    parts = clustered(planned(workbench, scope="domain"))
    assert len(parts) == 3
    assert [uuids(part) for part in parts] == [["GPU-0"]] * 3


def test_memory_before_at_its_peak_and_after(workbench: Workbench, machine: Machine) -> None:
    machine.cards[0].others = 3 * GIB
    machine.show()
    workbench.stage3.write("events", VECTORS, DOMAINS)
    found = report(workbench.perform("events"))["gpu"]
    (card,) = found.pop("cards")
    assert card.pop("measured_at")
    assert card == {
        "uuid": "GPU-0",
        "name": "Double 16GB",
        "memory_total_bytes": 16 * GIB,
        "memory_before_bytes": 3 * GIB,
        "memory_peak_bytes": (peak := 3 * GIB + CONTEXT + (1536 << 20)),
        "memory_after_bytes": 3 * GIB + CONTEXT,
        "utilisation_percent": 7,
    }
    assert found == {"used": 1, "reasons": [], "memory_peak_bytes": peak}


def test_the_drivers_tool_is_not_started_for_each_batch(
    workbench: Workbench, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clustering_tasks.engine.gpu._ROWS", 100)
    run = planned(workbench)
    before = machine.starts
    (part,) = clustered(run)
    assert len(machine.batches) > 20
    assert machine.starts - before == 3, "for room, after the first batch, at the end"
    (reading,) = part.gpus or []
    assert reading.memory_peak_bytes > reading.memory_after_bytes


def test_a_card_that_others_use_is_left_to_them(workbench: Workbench, machine: Machine) -> None:
    machine.cards[0].others = int(13.5 * GIB)  # of the 14 that may be in use
    machine.show()
    (part,) = clustered(planned(workbench))
    assert part.metrics["search"] == "exact"
    assert "17.2 GB: 14.5 GB are in use, and at most 15.0 GB may be" in str(
        part.metrics["gpu_reason"]
    )
    assert not machine.cards[0].opened  # CUDA was not even started


def test_the_limit_is_the_installations(
    workbench: Workbench, machine: Machine, environment: Callable[..., None]
) -> None:
    environment(gpu_memory_bytes=2 * GIB)
    (part,) = clustered(planned(workbench))
    (reading,) = part.gpus or []
    assert CONTEXT < reading.memory_peak_bytes <= 2 * GIB
    environment(gpu_memory_bytes=CONTEXT)
    (part,) = clustered(planned(workbench, "small", **{"neighbours.k": 8}))
    assert part.gpus is None


def test_all_cards_of_a_task_are_used(
    tmp_path: Path,
    workbench: Workbench,
    monkeypatch: pytest.MonkeyPatch,
    environment: Callable[..., None],
) -> None:
    environment(gpu=True)
    monkeypatch.setattr(engine, "_ROWS", 256)
    full = CudaCard(2, others=15 * GIB)
    machine = Machine(monkeypatch, tmp_path, CudaCard(0), CudaCard(1), full)
    (part,) = clustered(planned(workbench))
    assert uuids(part) == ["GPU-0", "GPU-1"]
    assert not full.opened
    assert sum(size for _, size in machine.batches) == part.metrics["nodes"]


@pytest.mark.parametrize("act", ["add", "search"])
def test_what_the_gpu_found_is_kept_and_the_cpu_does_the_rest(
    workbench: Workbench, machine: Machine, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    monkeypatch.setattr(engine, "_ROWS", 1024)

    def fill(what: str, card: CudaCard) -> None:
        if what == act == "add" or len(machine.batches) == 1:
            card.others, machine.scale = card.total, 1_000_000

    machine.before = fill
    gpu = planned(workbench)
    cpu = planned(workbench, "cpu", **{"neighbours.device": "cpu"})
    (part,) = clustered(gpu)
    assert part.metrics["search"] == {"add": "exact", "search": "gpu exact"}[act]
    assert uuids(part) == {"add": [], "search": ["GPU-0"]}[act]
    assert "out of memory" in str(part.metrics["gpu_reason"])
    same_graph(graph(gpu, [part]), graph(cpu, clustered(cpu)))


def test_a_window_in_time_is_searched_on_the_cpu_and_says_so(
    workbench: Workbench, machine: Machine
) -> None:
    workbench.stage3.write("events", VECTORS, DOMAINS)
    done = report(workbench.perform("events", temporal={"window_days": 30}))
    assert done["gpu"]["used"] == 0
    assert done["gpu"]["reasons"] == [
        "temporal.window_days is set, and FAISS's index knows no dates"
    ]
    assert done["gpu"]["memory_peak_bytes"] is None


def test_without_a_gpu_nothing_is_said_of_one(workbench: Workbench) -> None:
    workbench.stage3.write("events", VECTORS, DOMAINS)
    done = report(workbench.perform("events"))
    assert done["gpu"] == {"used": 0, "reasons": [], "cards": [], "memory_peak_bytes": None}


def test_a_gpu_that_was_given_and_is_not_there_is_named(
    workbench: Workbench, environment: Callable[..., None]
) -> None:
    environment(gpu=True)
    (part,) = clustered(planned(workbench))
    assert "no driver for NVIDIA GPUs" in str(part.metrics["gpu_reason"])


def test_a_gpu_that_is_demanded_must_be_there(workbench: Workbench) -> None:
    run = planned(workbench, **{"neighbours.device": "gpu"})
    with pytest.raises(SettingsError, match=r"neighbours.device=gpu demands a GPU: no driver"):
        cluster(run, 0)


def test_a_gpu_that_is_demanded_must_have_room(workbench: Workbench, machine: Machine) -> None:
    machine.cards[0].others = 15 * GIB
    machine.show()
    run = planned(workbench, **{"neighbours.device": "gpu"})
    with pytest.raises(ResourcesError, match=r"does not fit on Double 16GB.*device=auto"):
        cluster(run, 0)


def test_cards_whose_memory_is_not_shown_are_not_used(
    workbench: Workbench, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "cards.json").write_text('[["GPU-0", "sliced", "[N/A]", "[N/A]", "[N/A]"]]')
    (part,) = clustered(planned(workbench))
    assert "memory of 0 GPUs and CUDA has 1" in str(part.metrics["gpu_reason"])
    assert not machine.cards[0].opened


def test_a_window_on_a_gpu_is_an_impossible_pair(workbench: Workbench) -> None:
    with pytest.raises(SettingsError, match=r"temporal.window_days=30 cannot be applied on a GPU"):
        planned(workbench, neighbours={"device": "gpu"}, temporal={"window_days": 30})
