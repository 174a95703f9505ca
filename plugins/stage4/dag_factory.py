"""The DAGs: the steps in their order, and what Airflow needs to know about them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    AssetAny,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    Param,
    TriggerRule,
    XComArg,
)
from airflow.sdk.definitions.param import ParamsDict
from airflow.utils.dates import cron_presets
from croniter import CroniterBadDateError, croniter

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.groups.base import LARGEST
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.steps import MAPPED, PLANNING, REDACT, STEPS, Step
from stage4.assets import ROLLED_BACK, clusters_asset, stage3_asset, stored_events_asset
from stage4.conf import COMMON
from stage4.job_ids import level_run_id
from stage4.params import run_params, settings_schema
from stage4.runners import step_operator
from stage4.runners.repeating import PausablePythonOperator, RepeatingOperator
from stage4.tasks import (
    ALL_PARTS,
    SINKS,
    Sink,
    delete_document,
    housekeeping,
    receive_events,
    roll_back,
    send_events,
    stage5,
    write_back,
)
from stage4.tasks import level as level_tasks
from stage4.tasks.errors import keep_error

MAX_RETRY_DELAY = timedelta(hours=1)
POKE_SECONDS = 2
EVENTS_TIMEOUT = timedelta(minutes=5)
DELETIONS = "17 * * * *"  # for requests whose own run never came
SEND_EVENTS = "* * * * *"
RECEIVE_EVENTS = "*/5 * * * *"  # for what nothing has woken the DAG for
HOUSEKEEPING = "30 5 * * *"  # behind the levels' schedules: their new runs make old ones go
_ROLL_BACK = {
    "level": Param(type="string", enum=[*LEVELS], description="Whose run; has no default."),
    "load_id": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=LARGEST,
        description="Number in `stage4.runs` of a run that was published before; none: the newest"
        " one before the run that readers see.",
    ),
}


def level_dag(level: Level, doc_md: str | None) -> DAG:
    """Build the DAG that clusters one level.

    Args:
        level: of the DAG.
        doc_md: its page; `{steps}` and `{sinks}` stand for a row for each of them.
    """
    with _dag(
        f"cluster_{level.name}",
        f"Cluster Stage 3's {level.cluster_type} vectors and publish the clusters.",
        (doc_md or "").replace("{steps}", _rows(STEPS)).replace("{sinks}", _rows(SINKS)),
        # No start date: the first run is at the schedule's next time, not at once for the last.
        schedule=schedule_of(level),
        tags=(level.name,),
        timeout=_run_timeout(),
    ) as dag:
        _wire_level(level)
    return _with_params(dag, run_params(level))


def all_levels_dag(doc_md: str | None) -> DAG:
    """Build the DAG that runs the levels' DAGs side by side and waits for them."""
    with _dag("cluster_all", "Cluster all levels.", doc_md, schedule=None) as dag:
        _wire_all_levels()
    return _with_params(dag, {name: _settings_param(name) for name in (COMMON, *LEVELS)})


def housekeeping_dag(doc_md: str | None) -> DAG:
    """Build the DAG that removes what is older than the installation keeps it."""
    with _dag(
        "housekeeping",
        "Remove old runs, and make room in the workspace.",
        doc_md,
        schedule=_at(HOUSEKEEPING),
    ) as dag:
        pruned = [_python(f"prune_{level}", housekeeping.prune, level=level) for level in LEVELS]
        _python(
            "clean_workspace", housekeeping.clean_workspace, pruned=[task.output for task in pruned]
        )
    return dag


def delete_document_dag(doc_md: str | None) -> DAG:
    """Build the DAG that carries out what the REST API was asked to delete."""
    with _dag(
        "delete_document",
        "Take deleted documents out of PostgreSQL, files, cache and workspace.",
        doc_md,
        schedule=_at(DELETIONS),
    ) as dag:
        start = _python("start", delete_document.start_deletion)
        close = _python("close", delete_document.close_deletion, begun=start.output)
        for level in LEVELS:
            redact = step_operator()(
                task_id=f"{REDACT.name}_{level}", step=REDACT.name, level=level
            )
            reload = _python(f"reload_{level}", delete_document.reload_level, level=level)
            start >> redact >> reload >> close
        close >> _python("notify_stage5", stage5.notify_deletion)
        close >> _python("write_back", write_back.write_back_all)
    return dag


def roll_back_dag(doc_md: str | None) -> DAG:
    """Build the DAG that publishes a level's earlier run again, and tells whom a run would tell."""
    with _dag(
        "roll_back",
        "Publish an earlier run of a level again.",
        doc_md,
        schedule=None,
    ) as dag:
        chosen = _python("choose_run", roll_back.choose_run)
        done = _python(
            "roll_back", roll_back.roll_back, outlets=[ROLLED_BACK], chosen=chosen.output
        )
        _python("notify_stage5", stage5.notify_roll_back, rolled_back=done.output)
        _python("write_back", write_back.write_back, published=done.output)
    return _with_params(dag, _ROLL_BACK)


def send_events_dag(doc_md: str | None) -> DAG:
    """Build the DAG that sends events to receivers outside; without any it has no schedule."""
    # Every publication starts it at once; a lost event of an asset costs a minute.
    published = AssetAny(*map(clusters_asset, LEVELS.values()))
    every_minute = AssetOrTimeSchedule(timetable=_at(SEND_EVENTS), assets=published)
    with _dag(
        "send_events",
        "Send events of jobs and clusters to receivers outside.",
        doc_md,
        schedule=every_minute if deployment().sends_events else None,
    ) as dag:
        PythonOperator(
            task_id="send_events",
            python_callable=send_events.send_events,
            execution_timeout=EVENTS_TIMEOUT,
            # It computes nothing: the steps keep their slots.
            pool="default_pool",
            # The next run is at hand.
            retries=0,
            do_xcom_push=False,
        )
    return dag


def receive_events_dag(doc_md: str | None) -> DAG:
    """Build the DAG that starts the levels' runs for Stage 3's events, each run once."""
    assets = [stage3_asset(level) for level in LEVELS.values()]
    # A lost event of an asset costs five minutes: the task reads all of them.
    wakes = AssetAny(*assets, _stored_events())
    with _dag(
        "receive_events",
        "Start the levels' runs for events of Stage 3.",
        doc_md,
        schedule=AssetOrTimeSchedule(timetable=_at(RECEIVE_EVENTS), assets=wakes),
    ) as dag:
        # They compute nothing: the steps keep their slots.
        quick: dict[str, Any] = {"pool": "default_pool", "execution_timeout": EVENTS_TIMEOUT}
        requested = PythonOperator(
            task_id="request_runs",
            python_callable=receive_events.request_runs,
            inlets=assets,
            **quick,
        )
        TriggerDagRunOperator.partial(
            task_id="start",
            logical_date=None,
            # The webhook, or a try before this one, may have made it.
            skip_when_already_exists=True,
            openlineage_inject_parent_info=False,
            **quick,
        ).expand_kwargs(requested.output)
    return dag


def _stored_events() -> Asset:
    """Name what the reader of Stage 3's stream has stored, with the reader where there is one."""
    conn_id = deployment().stage3_stream_conn_id
    watchers = []
    if conn_id is not None:
        from stage4.events.stage3.trigger import Stage3StreamTrigger

        watchers = [AssetWatcher(name="stage3_stream", trigger=Stage3StreamTrigger(conn_id))]
    return stored_events_asset(watchers)


def _rows(tasks: Sequence[Step | Sink]) -> str:
    return "\n".join(f"| `{task.name}` | {task.does} |" for task in tasks)


def _dag(
    dag_id: str,
    description: str,
    doc_md: str | None,
    *,
    schedule: Any,
    tags: Sequence[str] = (),
    timeout: timedelta | None = None,
) -> DAG:
    return DAG(
        dag_id=dag_id,
        description=description,
        doc_md=doc_md,
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timeout,
        default_args=_default_args(),
        tags=["stage4", *tags],
    )


def _with_params(dag: DAG, params: dict[str, Any]) -> DAG:
    """Give a DAG its params, which its tasks have as well when they run.

    Behind its tasks: else each has a copy of its own, which is looked at against JSON Schema twice
    whenever the DAG is parsed, and stored. Of a level's 139 params and 15 tasks that took 2.0 s and
    1.3 MB of Airflow's database; it takes 0.01 s and 0.1 MB.
    """
    dag.params = ParamsDict(deepcopy(params))  # a task writes its run's conf into them
    return dag


def _run_timeout() -> timedelta | None:
    """Limit a run's time: its unfinished tasks are skipped then, and running steps are ended."""
    minutes = deployment().run_timeout_minutes
    return None if minutes is None else timedelta(minutes=minutes)


def _default_args() -> dict[str, Any]:
    where = deployment()
    return {
        "owner": "stage4",
        "retries": where.retries,
        "retry_delay": timedelta(seconds=where.retry_delay_seconds),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": MAX_RETRY_DELAY,
        "execution_timeout": timedelta(minutes=where.step_timeout_minutes),
        "pool": where.steps_pool,
        "on_failure_callback": [keep_error],
    }


def schedule_of(level: Level) -> CronTriggerTimetable | None:
    """When a level's DAG starts by itself; None: only on demand.

    Raises:
        SettingsError: the installation's setting is no cron expression, or of a time that never
            comes: Airflow would fail over its next run.
    """
    cron = deployment().schedule(level.name)
    if cron is None:
        return None
    setting, expression = f"STAGE4_SCHEDULE_{level.name.upper()}", cron_presets.get(cron, cron)
    if not croniter.is_valid(expression):
        raise SettingsError(
            f"{setting}={cron!r} is no cron expression: five fields, for example `0 2 * * *`, or "
            "`none` for a DAG that runs only on demand"
        )
    try:
        croniter(expression, datetime.now(UTC)).get_next()
    except CroniterBadDateError:
        raise SettingsError(
            f"{setting}={cron!r} is of a time that never comes: give one that does, or `none` for "
            "a DAG that runs only on demand"
        ) from None
    return _at(cron)


def _at(cron: str) -> CronTriggerTimetable:
    return CronTriggerTimetable(cron, timezone="UTC")


def _wire_level(level: Level) -> None:
    checked = _python("check_stage3", level_tasks.check_stage3, level=level.name)
    steps = _wire_steps(level, checked)
    load = _python(
        "load_postgres",
        level_tasks.load_postgres,
        # Without a map the explorer has a gap, without clusters Stage 5 has nothing.
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        label=steps["label"].output,
        map=steps["map"].output,
    )
    label = steps["label"].output
    publish = RepeatingOperator(
        task_id="publish",
        level=level.name,
        python_callable=level_tasks.publish,
        op_kwargs={"label": label},
        outlets=[clusters_asset(level)],
    )
    steps[STEPS[-1].name] >> load >> publish
    for sink in SINKS:
        publish >> _python(
            sink.name,
            sink.load(),
            label=XComArg(publish, level_tasks.LABEL),
            published=publish.output,
        )
    # A run's state is that of its last tasks. This one only fails with a part, so that a run that
    # was published without it does not look whole.
    steps[MAPPED.name] >> EmptyOperator(task_id=ALL_PARTS)


def _wire_steps(level: Level, checked: Any) -> dict[str, Any]:
    """Make a task of each step, one after the other; returns them by the steps' names."""
    tasks: dict[str, Any] = {}
    last, needed, before = checked, checked, None
    for step in STEPS:
        task = (
            _mapped(level, step, tasks[PLANNING.name].output)
            if step.mapped
            else _single(level, step, before, checked)
        )
        last >> task
        if before is not None and before.optional:
            needed >> task  # one success among these is enough, whatever became of the optional one
        last, before = task, step
        needed = needed if step.optional else task
        tasks[step.name] = task
    return tasks


def _single(level: Level, step: Step, before: Step | None, checked: Any) -> Any:
    own: dict[str, Any] = {}
    if step.reads_stage3:
        own |= {"options": checked.output, "inlets": [stage3_asset(level)]}
    if before is not None and (before.mapped or before.optional):
        # A failed part does not keep the others' work from being merged: `merge` refuses a missing
        # part itself, unless the run allows one. Without a single part it does not start.
        own["trigger_rule"] = TriggerRule.ALL_DONE_MIN_ONE_SUCCESS
    return step_operator()(task_id=step.name, step=step.name, level=level.name, **own)


def _mapped(level: Level, step: Step, parts: Any) -> Any:
    operator = step_operator().partial(
        task_id=step.name,
        step=step.name,
        level=level.name,
        pool=deployment().cluster_pool,
        map_index_template="{{ task.part['name'] }}",
    )
    return operator.expand(part=parts)


def _python(
    task_id: str,
    function: Callable[..., Any],
    outlets: Sequence[Asset | AssetAlias] = (),
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS,
    **arguments: Any,
) -> Any:
    return PausablePythonOperator(
        task_id=task_id,
        python_callable=function,
        op_kwargs=arguments,
        outlets=[*outlets],
        trigger_rule=trigger_rule,
    )


def _wire_all_levels() -> None:
    checked = _python("check_settings", level_tasks.check_settings)
    for level in LEVELS:
        checked >> TriggerDagRunOperator(
            task_id=f"cluster_{level}",
            trigger_dag_id=f"cluster_{level}",
            trigger_run_id=level_run_id("{{ run_id }}", level),
            conf=f"{{{{ ti.xcom_pull('check_settings')['{level}'] | tojson }}}}",  # type: ignore[arg-type]
            # Clearing this task runs the level again, under the same job id.
            reset_dag_run=True,
            wait_for_completion=True,
            deferrable=True,
            poke_interval=POKE_SECONDS,
            # The level's tasks have their own retries; another try here would repeat them all.
            retries=0,
            execution_timeout=None,
            # What needs a slot runs in the level's DAG.
            pool="default_pool",
            openlineage_inject_parent_info=False,
        )


def _settings_param(name: str) -> Param:
    of = "every level" if name == COMMON else f"`cluster_{name}`, over those of `{COMMON}`"
    return Param(
        {},
        f"Settings of {of}, nested or dotted, as in the form of a level's DAG.",
        section="Settings",
        **settings_schema(),
    )
