"""What the steps of a run have recorded in the workspace."""

from typing import Any

from upath import UPath

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.workspace.storage import read_json


def recorded(level: str, job_id: str, step: str) -> dict[str, Any] | None:
    """Read the newest result of a step of a run; None: there is none (any more).

    Args:
        level: plural name.
        job_id: of the run.
        step: name.
    """
    try:
        record: dict[str, Any] = read_json(
            UPath(deployment().workspace) / level / "runs" / job_id / f"{step}.json"
        )
    except FileNotFoundError:
        return None
    return record


def recorded_files(level: str, job_id: str, *steps: str) -> dict[str, str]:
    """Return the files of steps of a run by their names; a step without a result has none."""
    found = (recorded(level, job_id, step) for step in steps)
    return {name: uri for record in found if record for name, uri in record["files"].items()}
