"""Marks on runs that `redact` has changed: they are to be loaded into the database again."""

from upath import UPath

from clustering_tasks.workspace.storage import write_atomically

_MARK = "changed.json"


def mark_changed(run: UPath) -> None:
    """Mark a run, before anything of it changes.

    Args:
        run: its folder in the workspace.
    """
    write_atomically(run / _MARK, b"{}")


def changed_runs(workspace: UPath, level: str) -> dict[str, UPath]:
    """Return the marks of a level's runs, by job id; who has taken note of one removes it."""
    folder = workspace / level / "runs"
    marks = [path / _MARK for path in folder.iterdir()] if folder.exists() else []
    return {mark.parent.name: mark for mark in marks if mark.exists()}
