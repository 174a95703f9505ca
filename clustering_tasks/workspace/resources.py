"""What this machine, or this container, has left."""

import shutil
from pathlib import Path

import psutil
from upath import UPath

from clustering_tasks.errors import ResourcesError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.storage import is_local

_CGROUP = Path("/sys/fs/cgroup")
# (limit, usage) of a container: cgroup v2, then v1
_CGROUP_FILES = (
    (_CGROUP / "memory.max", _CGROUP / "memory.current"),
    (_CGROUP / "memory/memory.limit_in_bytes", _CGROUP / "memory/memory.usage_in_bytes"),
)


def available_memory() -> int:
    """Bytes of memory that may still be used: the machine's, or less within a container."""
    free = int(psutil.virtual_memory().available)
    for limit, usage in _CGROUP_FILES:
        if limit.exists() and usage.exists() and (text := limit.read_text().strip()) != "max":
            free = min(free, int(text) - int(usage.read_text()))
    return max(free, 0)


def available_disk(folder: UPath) -> int | None:
    """Bytes free in a local folder's file system, None for an object store."""
    return shutil.disk_usage(folder.path).free if is_local(folder) else None


def check_fits(need: int, have: int | None, what: str, advice: str) -> None:
    """Refuse work that cannot fit.

    Args:
        need: bytes forecast.
        have: bytes available; None: unknown, nothing is refused.
        what: `memory` or `disk`.
        advice: what the user can do.

    Raises:
        ResourcesError: when more is needed than available.
    """
    if have is not None and need > have:
        raise ResourcesError(
            f"too little {what}: about {need / 1e9:.1f} GB needed, {have / 1e9:.1f} GB available. "
            f"{advice}"
        )


def check_count(items: int | None, level: str) -> None:
    """Refuse a level with more items than the installation takes.

    Args:
        items: of the level; None: unknown, nothing is refused.
        level: its name.

    Raises:
        ResourcesError: naming level, number and setting.
    """
    allowed = deployment().max_items
    if items is not None and allowed is not None and items > allowed:
        raise ResourcesError(
            f"{level} has {items:,} items, STAGE4_MAX_ITEMS allows {allowed:,}: raise it, or let "
            f"Stage 3 keep fewer"
        )
