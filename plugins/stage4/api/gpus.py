"""The GPUs of the workers, as their tasks have measured them."""

from collections.abc import Iterable
from typing import Any

from stage4.api.models.installation import Gpu


def newest_gpus(returned: Iterable[tuple[str, Any]]) -> list[Gpu]:
    """Choose the newest reading of each GPU.

    Args:
        returned: ids of jobs, and what `cluster` returned in them.
    """
    newest: dict[str, Gpu] = {}
    for job_id, result in returned:
        readings = result.get("gpus") if isinstance(result, dict) else None
        for reading in readings or ():
            gpu = Gpu.model_validate({**reading, "job_id": job_id})
            known = newest.setdefault(gpu.uuid, gpu)
            newest[gpu.uuid] = max(known, gpu, key=lambda each: each.measured_at)
    return list(newest.values())
