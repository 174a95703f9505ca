"""Exports of tables: a pair of files in Stage 3's form, from `check_stage3` to `snapshot`.

They hold rows as somebody else's database has them, those of deleted documents too. So an export is
removed as soon as `snapshot` has read it; what a failed run leaves is removed by the level's next
export, by a deletion, and by housekeeping.
"""

import uuid

from upath import UPath

_FOLDER = "exports"


def new_export(workspace: UPath, level: str) -> UPath:
    """Make a folder for an export of a level, and remove what earlier ones have left."""
    remove_exports(workspace, level)
    folder = workspace / level / _FOLDER / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    return folder


def remove_exports(workspace: UPath, level: str) -> None:
    """Remove all exports of a level; a run of a level is alone, and reads one."""
    folder = workspace / level / _FOLDER
    if folder.exists():
        folder.fs.rm(folder.path, recursive=True)
