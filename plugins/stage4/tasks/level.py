"""Tasks of a level's DAG, and of `cluster_all`, that run in the Airflow worker.

Each imports what it needs by itself: every task's process and every parse of the DAG files imports
this module, and the providers of PostgreSQL and HTTP would cost each of them 0.7 s.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from upath import UPath

from clustering_tasks.algorithms.method import refuse_filters
from clustering_tasks.corrections.frozen import freeze, frozen_folder
from clustering_tasks.errors import BadInputError, SettingsError
from clustering_tasks.publication.idle import idle_before
from clustering_tasks.publication.report import Report, read_report
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.groups.source import InputSettings
from clustering_tasks.settings.installed_llm import with_installed_llm
from clustering_tasks.settings.installed_tags import with_installed_tags
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.settings.run import run_settings
from clustering_tasks.stage3.index_header import promised_vectors
from clustering_tasks.steps import STEPS, find_step
from clustering_tasks.workspace.resources import check_count
from stage4.assets import clusters_asset
from stage4.conf import CALLBACK_URL, callback_url, chosen, conf_of_levels
from stage4.events.callbacks import check_callback
from stage4.job_ids import STAGE3_PREFIX, dag_of, job_id
from stage4.source_tables.choice import Chosen, chosen_table, with_choice
from stage4.tasks.errors import airflow_errors

Json = dict[str, Any]
IDLE_SETTINGS = "idle_settings"  # key of an XCom of `check_stage3`
LABEL = "label"  # key of an XCom of `publish`
EXPORTED = "exported"  # the same, where the run is read from a table

log = structlog.get_logger()


class Triggered(Protocol):
    """The part of an Airflow DAG run that says what its caller chose."""

    @property
    def conf(self) -> dict[str, Any] | None:
        """Settings by dotted or nested names."""

    @property
    def run_id(self) -> str:
        """Airflow's id of it."""


class Pushing(Protocol):
    """The part of an Airflow task instance that keeps a value for others."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value under a key."""


class Started(Protocol):
    """The part of an Airflow DAG run that says when it began."""

    @property
    def start_date(self) -> datetime | None:
        """When its first task could start; after a clearing, the time of that."""


def check_stage3(level: str, dag_run: Triggered, ti: Pushing) -> Json:
    """Refuse a run that cannot succeed, before anything is copied.

    A run of a table of PostgreSQL is exported here, because the steps have no database.

    The settings that will have no effect are logged as warnings, and kept as an XCom, for jobs.

    Returns:
        The options of `snapshot`: every setting, Stage 3's own count of the level's vectors (None
        where no URL of Stage 3 is set), the file of the corrections that hold (None: none do); of a
        table `indices`, the folder of its export.

    Raises:
        AirflowFailException: wrong settings (all of them named), no such files, no such index,
            more items than the installation takes; of a table: it, a right or a column is missing,
            or rows cannot be read.
        AirflowException: Stage 3, or a database, is unhealthy or cannot be reached.
    """
    with airflow_errors():
        asyncio.run(check_callback(callback_url(dag_run.conf)))
        settings = with_installed_tags(run_settings(chosen(dag_run.conf)), deployment().tags)
        refuse_filters(settings, LEVELS[level])
        table = chosen_table(settings, level, deployment().source_tables)
        settings = with_choice(settings, table)
        settings = with_installed_llm(settings, LEVELS[level], deployment().llm_conn_id)
        begin_reading(level, dag_run.run_id)
        _register(level, dag_run.run_id)
        if table is None:
            items, options = _check_files(level)
        else:
            items, options = _export(table, settings.input, ti)
        connected = deployment().llm_conn_id is not None
        idle = idle_before(settings, LEVELS[level], items, llm=connected)
        for each in idle:
            log.warning(str(each))
        ti.xcom_push(IDLE_SETTINGS, [each.record() for each in idle])
        return {
            "settings": settings.model_dump(mode="json"),
            "corrections": _freeze_corrections(level),
            **options,
        }


def begin_reading(level: str, run_id: str) -> None:
    """Store that events which come from now on are not for this run, before it reads a file."""
    if not run_id.startswith(STAGE3_PREFIX):
        return
    from stage4.database import stage3_events
    from stage4.database.connection import database

    with database() as connection:
        stage3_events.mark_begun(connection, level, run_id)


def _register(level: str, run_id: str) -> None:
    """Keep the run's name: by it `housekeeping` asks Airflow whether the job is over."""
    from stage4.database import outbox
    from stage4.database.connection import database

    name = outbox.JobName(job_id(dag_of(level), run_id), level, run_id)
    with database() as connection:
        outbox.register(connection, name)


def check_settings(dag_run: Triggered) -> dict[str, Json]:
    """Give each level the conf that `cluster_all` triggers it with.

    Raises:
        AirflowFailException: an unknown key, or settings that a level would refuse; every problem
            of every level is named.
    """
    with airflow_errors():
        levels = conf_of_levels(dag_run.conf)
        if problems := list(_unlisted_tables(levels)):
            raise SettingsError("\n".join(problems))
        asyncio.run(check_callback(url := callback_url(dag_run.conf)))
    own = {} if url is None else {CALLBACK_URL: url}
    return {level: settings | own for level, settings in levels.items()}


def _unlisted_tables(levels: Mapping[str, Json]) -> Iterator[str]:
    for level, settings in levels.items():
        try:
            chosen_table(run_settings(settings), level, deployment().source_tables)
        except SettingsError as error:
            yield f"{level}: {error}"


def load_postgres(
    label: Mapping[str, Any],
    map: Mapping[str, Any] | None = None,  # noqa: A002
    dag_run: Started | None = None,
) -> Json:
    """Load a run into the database, invisible until published, with the ids of `identify`.

    Args:
        label: the result of `label`.
        map: the result of `map`; None when it failed, which keeps no run from being published.
        dag_run: the run, whose duration up to here is measured.

    Returns:
        What `load_run` returns, and `alerts`: what the run gives cause to look at.
    """
    from stage4.database import alerts

    with airflow_errors():
        report = read_report(label["files"]["report"])
        loaded = _load(report, label, map)
    # The report of `label` has those of the steps before.
    seconds = {each["step"]: each["seconds"] for each in (label, map) if each}
    seconds["load_postgres"] = loaded["seconds"]
    duration = _duration(dag_run, report.counts.read)
    return loaded | {"alerts": alerts.watch(loaded["load_id"], report, seconds, duration)}


def _load(
    report: Report,
    label: Mapping[str, Any],
    map: Mapping[str, Any] | None,  # noqa: A002
    instead_of: int | None = None,
) -> Json:
    from stage4.database.load import load_run
    from stage4.database.run_records import recorded_files

    # Not by XCom: as an upstream task, `identify` would be the one success that the task needs.
    ids = recorded_files(report.level, report.job_id, "identify")
    files = ids | label["files"] | (map["files"] if map else {})
    return load_run(files, report, instead_of=instead_of)


def _duration(dag_run: Started | None, items: int) -> dict[str, float]:
    """Measure a run from its start: waiting for slots and retries are in it, unlike in steps."""
    if dag_run is None or dag_run.start_date is None:
        return {}
    seconds = (datetime.now(UTC) - dag_run.start_date).total_seconds()
    return {"run.seconds": seconds, "run.items_per_second": items / seconds} if seconds > 0 else {}


def publish(
    label: Mapping[str, Any], outlet_events: Any, perform: Callable[[str], Json], ti: Pushing
) -> Json:
    """Publish a loaded run behind its quality gate.

    Args:
        label: the result of `label`.
        outlet_events: of the task's context; the asset event gets the job id and the counts.
        perform: performs a step of the run again, where another run was published meanwhile.
        ti: the task instance; its XCom `label` is the result that was published.

    Returns:
        What `publish.publish_run` returns but for `label`, and the run's counts.

    Raises:
        AirflowSkipException: a later run is published already; what follows is skipped too, so
            that nobody is told of clusters that nobody can see.
    """
    from stage4.database import publish

    with airflow_errors():
        published = publish.publish_run(label, partial(_identify_again, perform))
        if published["superseded"]:
            raise AirflowSkipException(
                f"superseded: run {published['job_id']} stands for a later moment and stays "
                "published; this run's own results are kept"
            )
        ti.xcom_push(LABEL, label := published.pop("label"))
        report = read_report(label["files"]["report"])
    result = published | {"counts": report.counts.model_dump()}
    asset = clusters_asset(LEVELS[report.level])
    outlet_events[asset].extra = {"job_id": report.job_id, "counts": result["counts"]}
    return result


def _identify_again(perform: Callable[[str], Json], load_id: int) -> Json:
    """Perform `identify` and the steps behind it, and load the run instead of a load of it."""
    results: dict[str, Json | None] = {}
    for step in STEPS[STEPS.index(find_step("identify")) :]:
        try:
            results[step.name] = perform(step.name)
        except AirflowException:
            if not step.optional:
                raise
            log.exception("the run is published without the result of a step", step=step.name)
            results[step.name] = None
    label = results["label"]
    assert label is not None  # noqa: S101 - it is not optional
    report = read_report(label["files"]["report"])
    _load(report, label, results["map"], instead_of=load_id)
    return label


def _check_files(level: str) -> tuple[int | None, Json]:
    """Check Stage 3's files; returns the number of items, and what `snapshot` gets to know."""
    _require_files(level)
    items = _items(LEVELS[level])
    check_count(items, level)
    count = _stage3_count(level)
    return items if count is None else count, {"stage3_count": count}


def _export(table: Chosen, settings: InputSettings, ti: Pushing) -> tuple[int, Json]:
    """Export a table; returns the number of its rows, and what `snapshot` gets to know."""
    from stage4.source_tables.export import export_table

    done = export_table(table, settings, deployment().workspace)
    ti.xcom_push(EXPORTED, {"table": table.name} | asdict(done))
    return done.rows, {"stage3_count": None, "indices": done.folder}


def _require_files(level: str) -> None:
    folder = UPath(deployment().indices)
    if not folder.exists():
        raise BadInputError(
            f"Stage 3's folder {folder} does not exist: set STAGE4_INDICES to the folder that "
            "Stage 3 writes (in `.env`, or in the environment of Airflow's processes). `make demo` "
            "writes a sample corpus, which `make up` reads where STAGE4_INDICES is not set"
        )
    if missing := [name for name in LEVELS[level].pair if not (folder / name).exists()]:
        raise BadInputError(
            f"{folder} has no {' and no '.join(missing)}: let Stage 3 write the pair, or point "
            "STAGE4_INDICES at the folder that has it"
        )


def _items(level: Level) -> int | None:
    """Read how many vectors a level's index says it has; None: `snapshot` will refuse it."""
    index = UPath(deployment().indices) / level.pair[0]
    if not index.is_file():  # a pipe would be waited for
        return None
    with index.open("rb") as file:
        return promised_vectors(file)


def _freeze_corrections(level: str) -> str | None:
    """Write the corrections of this moment into the workspace: what is corrected later waits."""
    from stage4.database.connection import database
    from stage4.database.corrections import corrections_that_hold

    with database() as connection:
        hold = corrections_that_hold(connection, level)
    where = UPath(deployment().workspace)
    digest = freeze(where, level, hold)
    return None if digest is None else str(frozen_folder(where, level) / f"{digest}.json")


def _stage3_count(level: str) -> int | None:
    from stage4.clients import stage3

    where = deployment()
    if where.stage3_url is None:
        return None
    return stage3.count_vectors(where.stage3_url, level, timeout=where.stage3_timeout_seconds)
