"""What the tasks around the steps do: checking, loading, publishing, telling Stage 5.

Each of them imports what it needs by itself: every task's process and every parse of the DAG files
imports this module, and the providers of PostgreSQL and HTTP would cost each of them 0.7 s.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from clustering_tasks.publication.report import read_report
from upath import UPath

from clustering_tasks.algorithms.method import choose
from clustering_tasks.errors import FATAL_EXIT_CODES, BadInputError, Stage4Error
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from stage4.assets import ROLLED_BACK, clusters_asset
from stage4.conf import chosen, conf_of_levels

log = structlog.get_logger()

Json = dict[str, Any]


class Triggered(Protocol):
    """The part of an Airflow DAG run that says what its caller chose."""

    @property
    def conf(self) -> dict[str, Any] | None:
        """Settings by dotted or nested names."""


def check_stage3(level: str, dag_run: Triggered) -> Json:
    """Refuse a run that cannot succeed, before anything is copied.

    Returns:
        The options of `snapshot`: every setting, and Stage 3's own count of the level's vectors
        (None where no URL of Stage 3 is set).

    Raises:
        AirflowFailException: wrong settings (all of them named), no such files, no such index.
        AirflowException: Stage 3 is unhealthy or cannot be reached.
    """
    with airflow_errors():
        settings = run_settings(chosen(dag_run.conf))
        choose(settings, LEVELS[level], items=0)  # refuses what this level cannot use
        _require_files(level)
        return {"settings": settings.model_dump(mode="json"), "stage3_count": _stage3_count(level)}


def check_settings(dag_run: Triggered) -> dict[str, Json]:
    """Give each level the conf that `cluster_all` triggers it with.

    Raises:
        AirflowFailException: an unknown key, or settings that a level would refuse; every problem
            of every level is named.
    """
    with airflow_errors():
        return conf_of_levels(dag_run.conf)


def load_run(label: Mapping[str, Any], map: Mapping[str, Any] | None = None) -> Json:  # noqa: A002
    """Load a run into the database, invisible until published.

    Args:
        label: the result of `label`.
        map: the result of `map`; None when it failed, which keeps no run from being published.

    Returns:
        What `load_run` returns, and `alerts`: what the run gives cause to look at.
    """
    from stage4.database import alerts
    from stage4.database.load import load_run

    files = label["files"] | (map["files"] if map else {})
    with airflow_errors():
        report = read_report(label["files"]["report"])
        loaded = load_run(files, report)
    seconds = {"label": label["seconds"], "load_postgres": loaded["seconds"]}
    return loaded | {"alerts": alerts.watch(loaded["run_id"], report, seconds)}


def publish_run(label: Mapping[str, Any], outlet_events: Any) -> Json:
    """Publish a loaded run behind its quality gate.

    Args:
        label: the result of `label`.
        outlet_events: of the task's context; the asset event gets the job id and the counts.

    Returns:
        What `publish.publish_run` returns, and the run's counts.

    Raises:
        AirflowSkipException: a later run is published already; what follows is skipped too, so
            that nobody is told of clusters that nobody can see.
    """
    from stage4.database import publish

    with airflow_errors():
        published = publish.publish_run(label)
        if published["superseded"]:
            raise AirflowSkipException(
                f"superseded: run {published['job_id']} stands for a later moment and stays "
                "published; this run's own results are kept"
            )
        report = read_report(label["files"]["report"])
    result = published | {"counts": report.counts.model_dump()}
    asset = clusters_asset(LEVELS[report.level])
    outlet_events[asset].extra = {"job_id": report.job_id, "counts": result["counts"]}
    return result


def notify_stage5(label: Mapping[str, Any], published: Mapping[str, Any]) -> Json:
    """Tell Stage 5, if there is one, that a run is published.

    Raises:
        AirflowSkipException: no connection is set, or Stage 5 is optional and did not take the
            event: the run succeeds, yet this task does not look as if it had.
        AirflowException: Stage 5 is required and did not take the event (AirflowFailException
            when it refused it).
    """
    from stage4.clients import stage5

    conn_id = _stage5()
    files = [published["clusters_jsonl"], published["dated_jsonl"]]
    with airflow_errors():
        event = stage5.completion_event(read_report(label["files"]["report"]), files)
    key = stage5.publication_key(event["job_id"], published["publication_id"])
    return _tell(event, conn_id, key)


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


def roll_back_run(chosen: Mapping[str, Any], outlet_events: Any) -> Json:
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


def notify_roll_back(rolled_back: Mapping[str, Any]) -> Json:
    """Tell Stage 5, if there is one, that a run is published again.

    Args:
        rolled_back: the result of `roll_back_run`.

    Raises:
        AirflowSkipException, AirflowException: as `notify_stage5`.
    """
    from stage4.clients import stage5
    from stage4.database import roll_back

    conn_id = _stage5()
    report = roll_back.stored_report(rolled_back["run_id"])
    files = [rolled_back["clusters_jsonl"], rolled_back["dated_jsonl"]]
    number = rolled_back["publication_id"]
    event = stage5.rolled_back_event(report, files, number)
    return _tell(event, conn_id, stage5.publication_key(report.job_id, number))


def prune(level: str) -> Json:
    """Remove a level's runs that are older than the installation keeps them."""
    from stage4.database import retention

    with airflow_errors():
        return retention.prune(level, deployment().retention_days)


def clean_workspace(pruned: Iterable[Mapping[str, Any]]) -> Json | None:
    """Remove what no kept run refers to from the workspace, and more where it is too large.

    Args:
        pruned: the results of `prune`, of all levels.

    Returns:
        Counts and bytes (`clustering_tasks.workspace.cleanup.Cleaned`); None where the workspace is an
        object store.
    """
    from clustering_tasks.workspace import cleanup

    where = deployment()
    cleaned = cleanup.clean_workspace(
        where.workspace,
        {each["level"]: each["kept_jobs"] for each in pruned},
        where.retention_days,
        where.workspace_limit_bytes,
    )
    return None if cleaned is None else asdict(cleaned)


def begin_deletion() -> Json:
    """Give the steps the tombstones, and name the deletions that are to be carried out.

    Raises:
        AirflowSkipException: there are none, nor were there any in the last two days.
    """
    from stage4.deletions import progress

    with airflow_errors():
        due = progress.begin()
    if due is None:
        raise AirflowSkipException("no document is to be deleted")
    return {"deletions": due}


def carry_out_deletion(level: str) -> Json:
    """Replace a level's runs and files by those without the deleted documents."""
    from stage4.deletions.replacing import carry_out

    with airflow_errors():
        return carry_out(level)


def finish_deletion(begun: Mapping[str, Any]) -> Json:
    """Clear the cache and close the audit.

    Args:
        begun: the result of `begin_deletion`.
    """
    from stage4.deletions import progress

    return progress.finish(begun["deletions"])


def notify_deletion() -> Json:
    """Tell Stage 5, if there is one, which clusters have changed and which are gone.

    Raises:
        AirflowSkipException: no connection is set, or Stage 5 is optional and did not take an
            event: the next run of the DAG sends it again.
        AirflowException: Stage 5 is required and did not take an event.
    """
    from stage4.deletions import events

    conn_id = _stage5()
    waiting = events.undelivered()
    for number, event in waiting:
        _tell(event, conn_id, f"{event['job_id']}.deletion.{number}")
        events.delivered(number)
    return {"events": len(waiting)}


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn this package's errors into Airflow's: fatal ones are not tried again."""
    try:
        yield
    except Stage4Error as error:
        if error.exit_code in FATAL_EXIT_CODES:
            raise AirflowFailException(str(error)) from error
        raise AirflowException(str(error)) from error


def _stage5() -> str:
    conn_id = deployment().stage5_conn_id
    if conn_id is None:
        raise AirflowSkipException("STAGE4_STAGE5_CONN_ID is not set: nobody to tell")
    return conn_id


def _tell(event: Json, conn_id: str, key: str) -> Json:
    from stage4.clients import stage5

    try:
        return stage5.deliver(event, conn_id, key)
    except AirflowException as error:
        if deployment().stage5_required:
            raise
        log.exception("Stage 5 was not told; STAGE4_STAGE5_REQUIRED is off, so the run goes on")
        raise AirflowSkipException(f"not delivered: {error}") from error


def _require_files(level: str) -> None:
    folder = UPath(deployment().indices)
    if missing := [name for name in LEVELS[level].pair if not (folder / name).exists()]:
        raise BadInputError(
            f"{folder} has no {' and no '.join(missing)}: let Stage 3 write the pair, or point "
            "STAGE4_INDICES at the folder that has it"
        )


def _stage3_count(level: str) -> int | None:
    from stage4.clients import stage3

    where = deployment()
    if where.stage3_url is None:
        return None
    return stage3.count_vectors(where.stage3_url, level, timeout=where.stage3_timeout_seconds)
