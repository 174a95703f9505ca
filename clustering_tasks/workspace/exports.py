"""Exports of tables: a pair of files in Stage 3's form, from `check_stage3` to `snapshot`.

They hold rows as somebody else's database has them, those of deleted documents too. So an export is
removed as soon as `snapshot` has read it; what a failed run leaves is removed by the level's next
export, by a deletion, and by housekeeping.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from upath import UPath

_FOLDER = "exports"


@contextmanager
def new_export(workspace: UPath, level: str) -> Iterator[UPath]:
    """Make a folder for an export of a level; what earlier ones have left is removed, too.

    The folder is removed if the export fails.
    """
    remove_exports(workspace, level)
    folder = workspace / level / _FOLDER / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        remove_exports(workspace, level)
        raise


def remove_exports(workspace: UPath, level: str) -> None:
    """Remove all exports of a level; a run of a level is alone, and reads one."""
    folder = workspace / level / _FOLDER
    if folder.exists():
        folder.fs.rm(folder.path, recursive=True)
