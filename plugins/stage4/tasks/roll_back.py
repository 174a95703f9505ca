"""Tasks of the DAG `roll_back`."""

from collections.abc import Mapping
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowFailException

from clustering_tasks.settings.levels import LEVELS
from stage4.assets import ROLLED_BACK, clusters_asset
from stage4.tasks.errors import airflow_errors

log = structlog.get_logger()

Json = dict[str, Any]


def choose_run(params: Mapping[str, Any]) -> Json:
    """Fix the run that a level goes back to, so that a retry of what follows goes no further.

    Args:
        params: of the run: `level`, and `load_id`, None for the run before the present one;
            `run_id`, the former name of `load_id`, is accepted with a warning.

    Raises:
        AirflowFailException: there is no such run, or the two names have two values.
    """
    from stage4.database import roll_back

    load_id = roll_back.choose_run(params["level"], _load_id(params))
    return {"level": params["level"], "load_id": load_id}


def _load_id(params: Mapping[str, Any]) -> int | None:
    load_id: int | None = params["load_id"]
    former = params.get("run_id")  # from a conf alone: the form has no such field
    if former is None:
        return load_id
    if type(former) is not int:
        raise AirflowFailException(f"`run_id` takes the number of a load (got {former!r})")
    if load_id not in (None, former):
        raise AirflowFailException(
            f"`load_id` is {load_id}, and `run_id`, its former name, {former}: leave `run_id` out"
        )
    log.warning("`run_id` is the former name of `load_id` in the conf: use that", load_id=former)
    return former


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
        done: Json = roll_back.roll_back(chosen["level"], chosen["load_id"])
    extra = {"job_id": done["job_id"], "counts": done["counts"], "act": "roll_back"}
    outlet_events[ROLLED_BACK].add(clusters_asset(LEVELS[done["level"]]), extra=extra)
    return done
