"""Small computations of the API: a job's progress, nvidia-smi's lines, ids and vectors."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.levels import LEVELS
from stage4.api.airflow_jobs import percent, states_by_task
from stage4.api.host import read_gpus
from stage4.api.parameters import level_of, plural
from stage4.api.queries.clusters import unit


def test_progress_is_the_mean_over_tasks() -> None:
    instances = [
        ("snapshot", "success"),
        ("cluster", "success"),
        ("cluster", "failed"),
        ("cluster", "running"),
        ("cluster", None),
        ("merge", None),
        ("label", "upstream_failed"),
    ]
    states = states_by_task(instances)
    assert states["cluster"] == {"success": 1, "failed": 1, "running": 1, "none": 1}
    assert percent(states) == 62.5  # (1 + 1/2 + 0 + 1) / 4
    assert percent({}) == 0.0


def test_gpus() -> None:
    gpu, other = read_gpus("NVIDIA H200, 143771, 1024, 37\nTesla, 10, 5, [N/A]\n")
    assert (gpu.name, gpu.utilisation_percent) == ("NVIDIA H200", 37)
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (143771 << 20, 1024 << 20)
    assert other.utilisation_percent is None
    assert list(read_gpus("")) == []


def test_levels_by_singular_and_by_id() -> None:
    for name, level in LEVELS.items():
        assert plural(level.cluster_type) == plural(name) == name
        assert level_of(f"{level.cluster_type}_7f3a9c2e41b0") == name
    assert plural("other") == "other"
    assert plural(None) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20).filter(any))
def test_a_vector_is_brought_to_length_one(vector: list[float]) -> None:
    scaled = unit(vector)
    assert math.hypot(*scaled) == pytest.approx(1)
    largest = max(range(len(vector)), key=lambda place: abs(vector[place]))
    assert math.copysign(1, scaled[largest]) == math.copysign(1, vector[largest])
