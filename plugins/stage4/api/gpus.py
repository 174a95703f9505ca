"""The GPUs of the workers, as their tasks have measured them."""

from collections.abc import Iterable, Iterator
from typing import Any

from clustering_tasks.workspace.gpu_cards import one_of_each
from stage4.api.models.installation import Gpu


def newest_gpus(returned: Iterable[tuple[str, Any]]) -> list[Gpu]:
    """Choose the newest reading of each GPU.

    Args:
        returned: ids of jobs, and what `cluster` returned in them.
    """
    return one_of_each(_readings(returned), lambda gpu: gpu.measured_at)


def _readings(returned: Iterable[tuple[str, Any]]) -> Iterator[Gpu]:
    for job_id, result in returned:
        readings = result.get("gpus") if isinstance(result, dict) else None
        for reading in readings or ():
            yield Gpu.model_validate({**reading, "job_id": job_id})
