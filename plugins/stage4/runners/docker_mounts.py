"""What of this worker a step's container may see: two folders, and no network unless needed."""

import os
from pathlib import Path
from typing import Any

from docker.types import Mount
from upath import UPath

from clustering_tasks.settings.deployment import DeploymentSettings
from clustering_tasks.steps import find_step
from clustering_tasks.workspace.storage import is_local

# Where the image keeps the machine code that numba compiled when the image was built.
KERNELS = "/var/cache/stage4"


def step_mounts(step: str, settings: DeploymentSettings) -> list[Mount]:
    """Mount the local folders at the worker's own paths, so that URIs mean the same on both sides.

    Only a step that reads Stage 3's folder sees it, and none may write it.
    """
    # An anonymous volume starts as a copy of what the image has there: a cache that is warm and,
    # though the root file system is read-only, writable, without which numba would not use it.
    mounts = [Mount(KERNELS, None, type="volume")]
    if workspace := local_path(settings.workspace):
        mounts.append(Mount(workspace, settings.host_workspace or workspace, type="bind"))
    indices = local_path(settings.indices)
    if indices and find_step(step).reads_stage3:
        source = settings.host_indices or indices
        mounts.append(Mount(indices, source, type="bind", read_only=True))
    return mounts


def network(settings: DeploymentSettings) -> str | None:
    """Name the containers' network: none at all where every folder is local."""
    local = local_path(settings.workspace) and local_path(settings.indices)
    return settings.docker_network or ("none" if local else None)


def local_path(uri: str) -> str | None:
    """Give the path behind a URI; None where it is not on this machine's file system."""
    path = UPath(uri)
    return path.path if is_local(path) else None


def prepare_workspace(settings: DeploymentSettings, log: Any) -> None:
    """Create a local workspace that the container's user can write: the engine mounts, no more."""
    workspace = local_path(settings.workspace)
    if workspace is None or settings.host_workspace is not None:
        return  # elsewhere, or seen through another path: whoever set it up has to
    folder = Path(workspace)
    user, group = _ids(settings.container_user)
    if not folder.exists():
        folder.mkdir(parents=True)
        if os.geteuid() == 0 and user is not None:
            os.chown(folder, user, group if group is not None else -1)
    if user is not None and not _may_write(folder.stat(), user, group):
        owner = f"{folder.stat().st_uid}:{folder.stat().st_gid}"
        log.warning(
            f"The workspace {folder} belongs to {owner}, the containers run as "
            f"{settings.container_user}: if they may not write, set STAGE4_CONTAINER_USER={owner}"
        )


def _may_write(folder: os.stat_result, user: int, group: int | None) -> bool:
    """Whether the mode lets a user write, who may own it but has no capability (not even root)."""
    if folder.st_uid == user:
        return bool(folder.st_mode & 0o200)
    return bool(folder.st_mode & (0o020 if folder.st_gid == group else 0o002))


def _ids(container_user: str) -> tuple[int | None, int | None]:
    """Split `user:group`; None for what is a name or missing: only the image knows those."""
    user, _, group = container_user.partition(":")
    return int(user) if user.isdecimal() else None, int(group) if group.isdecimal() else None
