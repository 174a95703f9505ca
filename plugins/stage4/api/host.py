"""What the host of the API server has, what the workers' GPUs had, and Airflow's pools."""

import math
import os
import shutil

import psutil
from airflow.models.pool import Pool as AirflowPool  # noqa: TID251 - as for jobs
from airflow.utils.session import create_session
from upath import UPath

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.storage import is_local
from stage4.api.airflow_jobs import read_gpus
from stage4.api.models.installation import Pool, Resources


def host_resources() -> Resources:
    """Read what there is now."""
    memory = psutil.virtual_memory()
    total, free = _disk()
    return Resources(
        cpus=os.cpu_count() or 1,
        load_1_minute=psutil.getloadavg()[0],
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        disk_total_bytes=total,
        disk_free_bytes=free,
        gpus=read_gpus(),
        pools=_pools(),
    )


def _disk() -> tuple[int | None, int | None]:
    workspace = UPath(deployment().workspace)
    if not is_local(workspace) or not workspace.exists():
        return None, None
    usage = shutil.disk_usage(workspace.path)
    return usage.total, usage.free


def _pools() -> list[Pool]:
    where = deployment()
    with create_session(scoped=False) as session:
        found = AirflowPool.slots_stats(session=session)
    return [
        Pool(
            name=name,
            slots=None if math.isinf(found[name]["total"]) else int(found[name]["total"]),
            running=found[name]["running"],
            queued=found[name]["queued"],
            scheduled=found[name]["scheduled"],
        )
        for name in (where.cluster_pool, where.steps_pool)
        if name in found
    ]
