"""Tasks of the DAG `roll_back`."""

from collections.abc import Mapping
from typing import Any

import structlog

from clustering_tasks.settings.levels import LEVELS
from stage4.assets import ROLLED_BACK, clusters_asset
from stage4.tasks.errors import airflow_errors

log = structlog.get_logger()

Json = dict[str, Any]


def choose_run(params: Mapping[str, Any]) -> Json:
    """Fix the run that a level goes back to, so that a retry of what follows goes no further.

    Args:
        params: of the run: `level`, and `run_id`, None for the run before the present one.

    Raises:
        AirflowFailException: there is no such run.
    """
    from stage4.database import roll_back

    return {
        "level": params["level"],
        "run_id": roll_back.choose_run(params["level"], params["run_id"]),
    }


def roll_back(chosen: Mapping[str, Any], outlet_events: Any) -> Json:
    """Publish a run again, and tell the followers of its level's asset.

    Args:
        chosen: the result of `choose_run`.
        outlet_events: of the task's context.

    Returns:
        What `roll_back.roll_back` returns.
    """
    from stage4.database import roll_back

    with airflow_errors():
        done: Json = roll_back.roll_back(chosen["level"], chosen["run_id"])
    extra = {"job_id": done["job_id"], "counts": done["counts"], "act": "roll_back"}
    outlet_events[ROLLED_BACK].add(clusters_asset(LEVELS[done["level"]]), extra=extra)
    return done
