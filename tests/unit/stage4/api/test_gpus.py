"""The GPUs of the workers, out of what their tasks returned."""

from typing import Any

from stage4.api.gpus import newest_gpus


def reading(uuid: str, minute: int, peak: int) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": "NVIDIA H200",
        "memory_total_bytes": 100,
        "memory_before_bytes": 1,
        "memory_peak_bytes": peak,
        "memory_after_bytes": 2,
        "utilisation_percent": None,
        "measured_at": f"2026-03-01T12:{minute:02d}:00Z",
    }


def test_the_newest_reading_of_each_card_counts() -> None:
    returned = [
        # a result that was reused has the readings of its first run
        ("new", {"metrics": {}, "gpus": [reading("a", 5, 50)]}),
        ("old", {"metrics": {}, "gpus": [reading("a", 9, 60), reading("b", 1, 70)]}),
        ("without", {"metrics": {}, "gpus": None}),
        ("earlier version", {"metrics": {}}),
        ("strange", "text"),
    ]
    found = newest_gpus(returned)
    assert [(gpu.uuid, gpu.memory_peak_bytes, gpu.job_id) for gpu in found] == [
        ("a", 60, "old"),
        ("b", 70, "old"),
    ]
