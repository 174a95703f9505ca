"""What the host of the API server has, and Airflow's pools."""

import csv
import math
import os
import shutil
import subprocess
from collections.abc import Iterator

import psutil
from airflow.models.pool import Pool as AirflowPool  # noqa: TID251 - as for jobs
from airflow.utils.session import create_session
from upath import UPath

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.storage import is_local
from stage4.api.models.installation import Gpu, Pool, Resources

_ASK_SECONDS = 5
_MEBIBYTE = 1 << 20
_GPU_FIELDS = "name,memory.total,memory.used,utilization.gpu"


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
        gpus=list(_gpus()),
        pools=_pools(),
    )


def _disk() -> tuple[int | None, int | None]:
    workspace = UPath(deployment().workspace)
    if not is_local(workspace) or not workspace.exists():
        return None, None
    usage = shutil.disk_usage(workspace.path)
    return usage.total, usage.free


def _gpus() -> Iterator[Gpu]:
    """Ask the driver's own tool; a host without it has no GPU that the engine could use."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return
    try:
        done = subprocess.run(
            [program, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_ASK_SECONDS,
        )
    except (subprocess.SubprocessError, OSError):
        return
    yield from read_gpus(done.stdout)


def read_gpus(text: str) -> Iterator[Gpu]:
    """Read the lines of nvidia-smi: name, MiB in all, MiB used, per cent of use."""
    for name, total, used, busy in csv.reader(text.splitlines(), skipinitialspace=True):
        yield Gpu(
            name=name,
            memory_total_bytes=int(total) * _MEBIBYTE,
            memory_used_bytes=int(used) * _MEBIBYTE,
            utilisation_percent=float(busy) if busy.isdigit() else None,
        )


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
