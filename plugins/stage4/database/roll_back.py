"""Publish an earlier run again: the way back from a run that should not have been published.

The DAG `roll_back` does it, and notifies Stage 5 and the followers of the level's asset. Where
Airflow is down, `python -m stage4.database.roll_back LEVEL [LOAD_ID]`, with `plugins` on
PYTHONPATH, does it without a notification. The next run of the level is published as ever.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from clustering_tasks.errors import BadInputError
from clustering_tasks.publication.files import publish_files_again
from clustering_tasks.publication.report import Report
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from stage4.database.connection import database
from stage4.database.cut_off import label_uri
from stage4.database.pointer import Pointer, locked_pointer

_SHOWN = 10
# The run before the present one, whatever runs were rolled back from since.
_BEFORE = """
SELECT load_id FROM stage4.runs
WHERE level = %(level)s AND published_at IS NOT NULL AND (as_of, load_id) < (
    SELECT as_of, load_id FROM stage4.published JOIN stage4.runs USING (level, load_id)
    WHERE level = %(level)s
)
ORDER BY as_of DESC, load_id DESC LIMIT 1
"""
_REPORT = """
SELECT report FROM stage4.runs
WHERE level = %(level)s AND load_id = %(load_id)s AND published_at IS NOT NULL
"""
_REPORT_OF = "SELECT report FROM stage4.runs WHERE load_id = %s"
_CHOICES = """
SELECT load_id, job_id, as_of FROM stage4.runs
WHERE level = %(level)s AND published_at IS NOT NULL
ORDER BY as_of DESC, load_id DESC LIMIT %(limit)s
"""
_HAD_IDS = "SELECT EXISTS (SELECT FROM stage4.load_identities WHERE load_id = %s)"
LOST = (
    "the registry of ids of this run is gone from the workspace: restore it from a backup and roll "
    "back again, before the next run; that would go on from the ids of the run's clusters alone, "
    "or, if its artefact of `label` is gone, too, begin with new ids"
)

log = structlog.get_logger()


def choose_run(level: str, load_id: int | None = None, *, conn_id: str | None = None) -> int:
    """Say which run `roll_back` would publish; nothing changes.

    Who may have to try again fixes the run first: "the one before" is another one each time.

    Args:
        level: as for `roll_back`.
        load_id: as for `roll_back`.
        conn_id: as for `roll_back`.

    Raises:
        AirflowFailException, AirflowException: as `roll_back`.
    """
    with locked_pointer(level, conn_id=conn_id) as pointer:
        return _choose(pointer, load_id)[0]


def roll_back(level: str, load_id: int | None = None, *, conn_id: str | None = None) -> Any:
    """Publish a run that was published before: its JSONL, `published.json`, the pointer.

    Safe to repeat with a `load_id`. Files that bear the dates of later days are removed
    (`clustering_tasks.publication.files.publish_files_again`).

    Args:
        level: plural name.
        load_id: of `stage4.runs`; default: the newest published run that is older than the one
            that readers see.
        conn_id: Airflow connection; default: `deployment().postgres_conn_id`.

    Returns:
        `{"level": ..., "load_id": 17, "job_id": ..., "publication_id": 23, "changes": {...},
        "ids_lost": false, "counts": {...}, "clusters_jsonl": URI, "dated_jsonl": URI}`; `changes`
        as `publish_run`; `ids_lost`: the workspace has the run's registry of ids no more.

    Raises:
        AirflowFailException: there is no such run, or it was never published; the message names
            those that can be chosen.
        AirflowException: the database went away; worth another try.
        BadInputError: the run's own JSONL is gone.
    """
    with locked_pointer(level, conn_id=conn_id) as pointer:
        chosen, report = _choose(pointer, load_id)
        files = publish_files_again(
            report,
            label_uri=label_uri(report),
            workspace=deployment().workspace,
            output=deployment().output_uri,
        )
        publication = pointer.move(chosen, "roll_back")
        changes = pointer.changes(publication)
        lost = files.identities is None and _had_ids(pointer, chosen)
    log.info("published again", level=level, load_id=chosen, job_id=report.job_id)
    if lost:
        log.warning(LOST, level=level, load_id=chosen, job_id=report.job_id)
    return {
        "level": level,
        "load_id": chosen,
        "job_id": report.job_id,
        "publication_id": publication,
        "changes": changes and asdict(changes),
        "ids_lost": lost,
        "counts": report.counts.model_dump(),
        "clusters_jsonl": files.clusters_jsonl,
        "dated_jsonl": files.dated_jsonl,
    }


def _had_ids(pointer: Pointer, load_id: int) -> bool:
    """Whether a load was made by a version with lasting ids."""
    return pointer.connection.execute(_HAD_IDS, [load_id]).fetchone() == (True,)


def stored_report(load_id: int, *, conn_id: str | None = None) -> Report:
    """Read a run's report from the database.

    Raises:
        AirflowFailException: the run has been removed.
        AirflowException: the database went away; worth another try.
    """
    with database(conn_id) as connection:
        row = connection.execute(_REPORT_OF, [load_id]).fetchone()
    if row is None:
        raise AirflowFailException(f"load {load_id} is not in the database any more")
    return Report.model_validate(row[0])


def _choose(pointer: Pointer, load_id: int | None) -> tuple[int, Report]:
    values = {"level": pointer.level, "load_id": load_id, "limit": _SHOWN}
    if load_id is None:
        before = pointer.connection.execute(_BEFORE, values).fetchone()
        values["load_id"] = before[0] if before else None
    found = pointer.connection.execute(_REPORT, values).fetchone()
    if found is None:
        choices = pointer.connection.execute(_CHOICES, values).fetchall()
        raise AirflowFailException(_no_such_run(pointer, load_id, choices))
    return int(str(values["load_id"])), Report.model_validate(found[0])


def _no_such_run(pointer: Pointer, load_id: int | None, choices: list[tuple[Any, ...]]) -> str:
    what = (
        f"no run of {pointer.level} was published before {pointer.job_id or 'now'}"
        if load_id is None
        else f"no load {load_id} of {pointer.level} is in the database that was published before"
    )
    runs = ", ".join(f"{number} ({job}, {as_of:%Y-%m-%d %H:%M})" for number, job, as_of in choices)
    return f"{what}; published were: {runs or 'none'}"


def main() -> None:
    """Roll a level back, or end with a message that says what to do."""
    parser = argparse.ArgumentParser(
        prog="python -m stage4.database.roll_back", description=__doc__
    )
    parser.add_argument("level", choices=LEVELS)
    parser.add_argument("load_id", type=int, nargs="?", help="default: the one before")
    arguments = parser.parse_args()
    # As Airflow's own commands do: connections may be kept in its database, which tasks cannot see.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        done = roll_back(arguments.level, arguments.load_id)
    except (AirflowException, BadInputError) as error:
        sys.exit(f"roll-back failed: {error}")
    print(_untold(done))  # noqa: T201


def _untold(done: Mapping[str, Any]) -> str:
    conf = json.dumps({"level": done["level"], "load_id": done["load_id"]})
    lost = f" But {LOST}." if done["ids_lost"] else ""
    return (
        f"Readers of {done['level']} see load {done['load_id']} ({done['job_id']}). Neither "
        f"Stage 5 nor the followers of the asset stage4_{done['level']} were told: as soon as "
        f"Airflow is up, trigger the DAG roll_back with {conf}, which tells them and changes "
        f"nothing else.{lost}"
    )


if __name__ == "__main__":
    main()
