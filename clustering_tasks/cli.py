"""`python -m clustering_tasks`: every step as a sub-command, and all of them as `run`.

Logs are JSON lines on standard error; the last line of standard output is the result.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, NoReturn

import structlog
import typer
from pydantic import TypeAdapter, ValidationError
from upath import UPath

from clustering_tasks.algorithms.method import refuse_filters
from clustering_tasks.corrections.frozen import freeze, frozen_folder, read_file, read_frozen
from clustering_tasks.deleted_documents.tombstones import Tombstones, read_tombstones
from clustering_tasks.engine.threads import thread_count
from clustering_tasks.errors import (
    CHECKPOINTED,
    INTERNAL_ERROR,
    SettingsError,
    Stage4Error,
    of_memory,
    of_the_system,
)
from clustering_tasks.publication.report import JobId
from clustering_tasks.settings.deployment import deployment, misspelt, place
from clustering_tasks.settings.dotted import assignments
from clustering_tasks.settings.installed_tags import with_installed_tags
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.settings.run import RunSettings, run_settings
from clustering_tasks.stage3.text import escape_unseen
from clustering_tasks.steps import REDACT, STEPS, Step
from clustering_tasks.workspace.artefacts import Result, Run, load_run
from clustering_tasks.workspace.checkpoints import save_checkpoints
from clustering_tasks.workspace.kernel_cache import keep_kernels
from clustering_tasks.workspace.storage import remove_unfinished, to_json

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
log = structlog.get_logger()


def _level(name: str) -> Level:
    """Take a level by its plural or singular."""
    known = {level.cluster_type: level for level in LEVELS.values()} | LEVELS
    if name not in known:
        raise SettingsError(f"--level {name!r} is none of {', '.join(LEVELS)}")
    return known[name]


LevelName = Annotated[
    str, typer.Option("--level", help=f"One of {', '.join(LEVELS)}, or the singular.")
]
Workspace = Annotated[str, typer.Option(help="Folder or URI of runs and artefacts.")]
Job = Annotated[str, typer.Option("--job", help="The run's id.")]
Indices = Annotated[str, typer.Option(help="Folder or URI of Stage 3's indices.")]
Set = Annotated[list[str], typer.Option("--set", help="A setting, name=value; may be repeated.")]
AsOf = Annotated[str | None, typer.Option(help="ISO 8601; default: now.")]
SettingsJson = Annotated[str, typer.Option("--settings", help="Settings as nested JSON.")]
Corrections = Annotated[
    str | None,
    typer.Option(
        help="JSON file of what people corrected (docs/OPERATIONS.md, Corrections); default: none."
    ),
]


def _add_commands() -> None:
    for step in STEPS:
        app.command(step.name, help=_sentence(step.does))(_command(step))


def _command(step: Step) -> Callable[..., None]:
    if step.reads_stage3:
        return _start(step)
    if step.mapped:
        return _perform_part(step)
    return _perform_with_answers(step) if step.asks else _perform_step(step)


def _sentence(does: str) -> str:
    return f"{does[0].upper()}{does[1:]}."


def _start(step: Step) -> Callable[..., None]:
    def command(
        level: LevelName,
        workspace: Workspace,
        indices: Indices,
        job: Job = "manual",
        as_of: AsOf = None,
        settings: SettingsJson = "{}",
        set_: Set = [],  # noqa: B006  (typer copies it)
        stage3_count: Annotated[
            int | None, typer.Option(help="Vectors that Stage 3's statistics report.")
        ] = None,
        corrections: Corrections = None,
    ) -> None:
        chosen = _settings(settings, set_)
        run = _new_run(level, workspace, indices, job, as_of, chosen, corrections)
        _print(_load(step)(run, stage3_count, _deleted(run.workspace)))

    return command


def _perform_step(step: Step) -> Callable[..., None]:
    def command(level: LevelName, workspace: Workspace, job: Job = "manual") -> None:
        _perform(step, level, workspace, job)

    return command


def _perform_part(step: Step) -> Callable[..., None]:
    def command(
        level: LevelName,
        workspace: Workspace,
        part: Annotated[int, typer.Option(help="Number of the part, from 0.")],
        job: Job = "manual",
    ) -> None:
        _perform(step, level, workspace, job, part)

    return command


def _perform_with_answers(step: Step) -> Callable[..., None]:
    def command(
        level: LevelName,
        workspace: Workspace,
        job: Job = "manual",
        answers: Annotated[
            str | None,
            typer.Option(
                help="Digest of a language model's answers, which the DAG's task has got; default: "
                "none, and the questions are written."
            ),
        ] = None,
    ) -> None:
        _perform(step, level, workspace, job, answers)

    return command


@app.callback(help="Every step of the clustering as a command, and all of them as `run`.")
def check_environment() -> None:
    """Refuse what is wrong in the environment before a command works.

    Raises:
        SettingsError: a setting of the installation, OMP_NUM_THREADS or STAGE4_TILES.
    """
    deployment()
    thread_count()
    if "STAGE4_TILES" in os.environ:  # the module takes as long to load as all else
        _module("engine.integer_tiles").tile_path()


_add_commands()


@app.command("run")
def run_command(
    level: LevelName,
    indices: Indices,
    workspace: Workspace,
    job: Annotated[str | None, typer.Option("--job", help="Default: the time of day.")] = None,
    as_of: AsOf = None,
    settings: SettingsJson = "{}",
    set_: Set = [],  # noqa: B006  (typer copies it)
    output: Annotated[
        str | None, typer.Option(help="Folder or URI of the JSONL; default: WORKSPACE/output.")
    ] = None,
    with_map: Annotated[
        bool, typer.Option("--map", help="Draw the map too, which only the explorer shows.")
    ] = False,
    corrections: Corrections = None,
) -> None:
    """Perform the steps of one level in this process, without Airflow and Postgres."""
    job = job or f"run-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    chosen = _settings(settings, set_)
    folder = None if output is None else _place("--output", output)
    run = _new_run(level, workspace, indices, job, as_of, chosen, corrections)
    pipeline = _module("pipeline")
    folder = folder or UPath(f"{run.workspace}/output")
    _print(pipeline.run_all(run, folder, _deleted(run.workspace), with_map=with_map))


@app.command(REDACT.name, help=_sentence(REDACT.does))
def redact_command(level: LevelName, workspace: Workspace, job: Job = REDACT.name) -> None:
    """Take deleted documents out of a level's runs."""
    where = _workspace(workspace)
    _print(_load(REDACT)(where, _level(level), _job_id(job), _deleted(where)))


@app.command("recommend")
def recommend_command(
    level: LevelName,
    indices: Annotated[
        str | None, typer.Option(help="Local folder of Stage 3's indices; or --items.")
    ] = None,
    items: Annotated[int | None, typer.Option(min=0, help="Their number; or --indices.")] = None,
    settings: SettingsJson = "{}",
    set_: Set = [],  # noqa: B006  (typer copies it)
) -> None:
    """Recommend an algorithm for a level, with its reason, and what it would take here."""
    chosen = _settings(settings, set_)
    if (indices is None) == (items is None):
        raise SettingsError("recommend takes --indices or --items, one of them")
    module = _module("algorithms.recommendation")
    dimension = chosen.input.dimension
    count = items if indices is None else module.count_items(indices, _level(level), dimension)
    machine = module.this_machine(dimension)
    _print(module.recommend(chosen, _level(level), count, machine).record())


@app.command("check-settings")
def check_settings_command() -> None:
    """Check the installation's settings, as every command does before it works.

    A variable that nobody reads, of a name like a setting's, is warned of.
    """
    for name, near in misspelt(os.environ):
        log.warning(f"{name} is no setting, and nothing reads it: is {near} meant?")
    _print({"settings": "accepted"})


@app.command("warm-up")
def warm_up_command() -> None:
    """Compile the kernels of the engine into their cache, as a set-up or an image build does."""
    _print({"compiled_seconds": _module("warm_up").warm_up()})


def main() -> None:
    """Run the command line; exit with the code of the error table (`clustering_tasks.errors`)."""
    _configure_logs()
    _end_with_parent()
    signal.signal(signal.SIGTERM, _terminate)
    keep_kernels()
    try:
        app(standalone_mode=True)
    except SystemExit as stop:
        # typer's own code for wrong usage is 2
        sys.exit(SettingsError.exit_code if stop.code == 2 else stop.code)
    except Stage4Error as error:
        _refuse(error)
    except OSError as error:
        if refused := of_the_system(error):
            _refuse(refused)
        _report_defect()
    except (MemoryError, ImportError) as error:
        if refused := of_memory(error):
            _refuse(refused)
        _report_defect()
    except Exception:  # noqa: BLE001 - the last resort, and the log has the trace
        _report_defect()


def _refuse(error: Stage4Error) -> NoReturn:
    log.error(str(error), kind=type(error).__name__)  # no trace: it is no defect
    sys.exit(error.exit_code)


def _report_defect() -> NoReturn:
    log.exception("unexpected failure; please report it with this trace")
    sys.exit(INTERNAL_ERROR)


def _perform(step: Step, level: str, workspace: str, job: str, *args: int | str | None) -> None:
    # Only this step's libraries are imported: label needs no FAISS, plan no numba.
    function = _load(step)
    run = load_run(_workspace(workspace), _level(level), _job_id(job))
    structlog.contextvars.bind_contextvars(level_name=run.level.name, job_id=job)
    _print(function(run, *args))


def _load(step: Step) -> Callable[..., Any]:
    """Import a step, and collect garbage from then on: `__main__` has put it off."""
    function = step.load()
    _collect_garbage()
    return function


def _module(name: str) -> Any:
    """Import a module of this package; see `_load`."""
    module = import_module(f"clustering_tasks.{name}")
    _collect_garbage()
    return module


def _collect_garbage() -> None:
    """Collect what is made from now on; without `freeze` the first round would look at all else."""
    gc.freeze()
    gc.enable()


def _new_run(
    level: str,
    workspace: str,
    indices: str,
    job: str,
    as_of: str | None,
    settings: RunSettings,
    corrections: str | None,
) -> Run:
    structlog.contextvars.bind_contextvars(level_name=level, job_id=job)
    known = _level(level)
    structlog.contextvars.bind_contextvars(level_name=known.name)
    refuse_filters(settings, known)
    run = Run(
        workspace=_workspace(workspace),
        level=known,
        job_id=_job_id(job),
        indices=_indices(indices),
        as_of=_time(as_of),
        settings=with_installed_tags(settings, deployment().tags),
        corrections=_frozen(corrections, _workspace(workspace), known),
    )
    run.start()
    return run


def _frozen(file: str | None, workspace: UPath, level: Level) -> str | None:
    """Keep a file of corrections in the workspace, where every step of the run finds it."""
    if file is None:
        return None
    path = _place("--corrections", file)
    if path.parent == frozen_folder(workspace, level.name):  # of `check_stage3`
        read_frozen(workspace, level.name, path.stem)
        return path.stem
    found = read_file(path, level.cluster_type)
    return freeze(workspace, level.name, found)


def _deleted(workspace: UPath) -> Tombstones:
    return read_tombstones(workspace, deployment().deletion_key)


def _job_id(job: str) -> str:
    try:
        return TypeAdapter(JobId).validate_python(job)
    except ValidationError:
        raise SettingsError(
            f"--job {job!r} is no name of a file: it takes up to 200 characters, no slash, blank "
            f"or character that nobody sees, and starts with no dot"
        ) from None


def _workspace(uri: str) -> UPath:
    return _place("--workspace", uri)


def _indices(uri: str) -> str:
    path = _place("--indices", uri)
    return uri if "://" in uri else str(path)


def _place(option: str, uri: str) -> UPath:
    try:
        return place(uri)
    except ValueError as error:
        raise SettingsError(f"{option} {uri!r}: {error}") from None


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--as-of {text!r} is no ISO 8601 time") from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _settings(as_json: str, pairs: list[str]) -> RunSettings:
    import orjson

    try:
        nested = orjson.loads(as_json)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"--settings is not valid JSON: {error}") from None
    if not isinstance(nested, dict):
        raise SettingsError(f"--settings takes a JSON object, got {as_json[:80]}")
    return run_settings(nested, assignments(pairs))


def _print(result: Result | dict[str, Any]) -> None:
    record = result.model_dump(mode="json") if isinstance(result, Result) else result
    print(_as_text(record), flush=True)


def _as_text(record: Any) -> str:
    """Write JSON for a program, and for a terminal, whose cursor no text of others may move."""
    return escape_unseen(to_json(record).decode())


def _configure_logs() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda value, **_: _as_text(value)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_log_level()),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _log_level() -> str:
    """Return the level of STAGE4_LOG_LEVEL; info where the installation's settings are wrong."""
    try:
        return deployment().log_level
    except SettingsError:
        return "info"


def _end_with_parent() -> None:
    """End when the process that started this one does, SIGKILL included: its pipe closes then."""
    if os.environ.get("STAGE4_EXIT_WITH_PARENT") == "1":
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(INTERNAL_ERROR)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    # As PID 1 of a container Python has no handler of its own and would ignore the signal.
    # Whoever ends a step kills it soon after: what is not removed by then is removed by its age.
    blocks = 0
    with suppress(OSError):
        blocks = save_checkpoints()
    # Not through the logger: this thread may hold its lock.
    entry = {"event": "terminated", "level": "warning", "kept_blocks": blocks}
    os.write(2, to_json(structlog.contextvars.get_contextvars() | entry) + b"\n")
    with suppress(OSError):
        remove_unfinished()
    os._exit(CHECKPOINTED if blocks else 128 + signal.SIGTERM)
