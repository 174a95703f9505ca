"""Steps of `clustering_tasks` as Airflow tasks: what every runner has in common."""

import json
import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, ClassVar, NoReturn

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from upath import UPath

from clustering_tasks.errors import CHECKPOINTED, FATAL_EXIT_CODES
from clustering_tasks.llm.questions import FILE as QUESTIONS
from clustering_tasks.llm.questions import read_questions
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps import PLANNING, find_step
from clustering_tasks.workspace.checkpoints import checkpoint_folder, remove_checkpoint
from clustering_tasks.workspace.exports import remove_exports
from stage4.job_ids import as_of, job_id
from stage4.runners.pausing import PausableOperator

PLAN_RESULT_KEY = "result"
BATCH_ROWS = 98_304  # the engine's, whose import takes seconds
_FEWEST_ROWS = 12_288
# A signal's exit code is negative here and 128 + its number in a container.
KILLED_HARD = (-signal.SIGKILL, 128 + signal.SIGKILL)

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_OF_THE_ENTRY = ("event", "level", "timestamp")
_OF_EVERY_ERROR = ("exception", "kind", "job_id")  # the task's message says it already


class StepLog:
    """Passes a step's output on to the task's log, and remembers what went wrong.

    Lines are the JSON objects that `clustering_tasks` logs; whatever else appears between them
    (a library's print, a traceback) is logged as it is.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._error: str | None = None
        self._last_line: str | None = None

    def feed(self, line: str) -> None:
        """Log one line, without its line end."""
        line = line.rstrip()
        if not line:
            return
        entry = _json_object(line)
        if "event" in entry:
            self._feed_entry(entry)
        elif "step" not in entry:  # the step's last line repeats its result, which XCom shows
            self._last_line = line
            self._log.info(line)

    @property
    def last_error(self) -> str:
        """The last error that the step logged, else its last plain line."""
        return self._error or self._last_line or "it said nothing"

    def _feed_entry(self, entry: dict[str, Any]) -> None:
        level = _LEVELS.get(str(entry.get("level", "info")).lower(), logging.INFO)
        fields = {name: value for name, value in entry.items() if name not in _OF_THE_ENTRY}
        self._log.log(level, str(entry["event"]), **fields)
        if level >= logging.ERROR:
            self._error = " ".join((str(entry["event"]), *_details(fields)))


class StepOperator(PausableOperator):
    """What the runners share: a step's arguments, its result, and the meaning of its end.

    A runner is a subclass with an `execute` that
      1. runs `clustering_tasks` with `self.step_arguments(context)`,
      2. feeds the step's output (standard output and error, merged) line by line to a
         `StepLog(self.log)`,
      3. returns `self.conclude(context, exit_code, step_log.last_error)`,
    and an `on_kill` that calls `self.mark_killed()` *before* it ends the step, well within the 5 s
    after which Airflow's supervisor ends the task. `conclude` then fails the task whatever the
    exit code: a step that ends with 0 on SIGTERM has not succeeded. With a provider's operator:

        class DockerStepOperator(StepOperator, DockerOperator):
            template_fields = (*StepOperator.template_fields, *DockerOperator.template_fields)

            def __init__(self, *, step, level, part=None, options=None, **kwargs):
                super().__init__(step=step, level=level, part=part, options=options,
                                 image=deployment().image, **kwargs)

    Declare the four arguments again, as above: `.partial()` and `.expand()` look only at
    signatures. Everything else comes from `deployment()` when the task runs.

    Args:
        step: sub-command of `clustering_tasks`, which is the task's id too.
        level: plural name of the level.
        part: for `cluster`: one entry of plan's parts, `{"part": 0, "name": "..."}`.
        options: further options of the command line, by their names with underscores; a mapping is
            passed as JSON, None is left out. Templated, XComArgs included.
    """

    template_fields = ("part", "options")
    template_fields_renderers: ClassVar[dict[str, str]] = {"part": "json", "options": "json"}

    def __init__(
        self,
        *,
        step: str,
        level: str,
        part: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.level = level
        self.part = part
        self.options = options
        self._killed = False
        self._out_of_memory = False  # where the runner knows that memory has run out
        self._memory_limit = ""

    def step_arguments(self, context: Context) -> list[str]:
        """Build the arguments that follow `python -m clustering_tasks`."""
        arguments = {
            "level": self.level,
            "workspace": deployment().workspace,
            "job": _job_id(context),
        }
        if find_step(self.step).reads_stage3:
            arguments["indices"] = deployment().indices
            arguments["as_of"] = as_of(context["dag_run"]).isoformat()
        if self.part is not None:
            arguments["part"] = self.part["part"]
        return [self.step, *_as_options(arguments | dict(self.options or {}))]

    def result_uri(self, context: Context) -> str:
        """Tell where the step writes its result when, and only when, it succeeds."""
        name = self.step if self.part is None else f"{self.step}-{self.part['part']}"
        run = PurePosixPath(self.level, "runs", _job_id(context))
        return f"{deployment().workspace}/{run}/{name}.json"

    def mark_killed(self) -> None:
        """Remember that the step is being killed, so that it cannot succeed any more."""
        self._killed = True

    def conclude(self, context: Context, exit_code: int, last_error: str) -> Any:
        """Turn a step's end into the task's.

        Returns:
            The step's result. `plan` returns its parts instead, and pushes its result as
            `PLAN_RESULT_KEY`: Airflow maps over return values only.

        Raises:
            AirflowFailException: the step says that trying again cannot help.
            AirflowException: it was killed, or failed in a way that may pass.
            TaskDeferred: a signal has ended it, and its job is paused.
        """
        # With questions of `label` it returns the result of a second execution.
        if self._killed:
            self.discard_canceled(context)
            raise AirflowException(f"{self._name} was killed ({_end_of(exit_code)})")
        if exit_code == CHECKPOINTED:  # by somebody else's signal
            self.wait_while_paused(context)
        if exit_code and (self._out_of_memory or exit_code in KILLED_HARD):
            self._take_less_memory(context)
        if exit_code:
            self._fail(exit_code, last_error)
        result = self._read_result(context)
        conn_id = deployment().llm_conn_id
        if conn_id and find_step(self.step).asks and QUESTIONS in result.get("files", ()):
            return self._ask(context, result, conn_id)
        if find_step(self.step).reads_stage3:
            remove_exports(UPath(deployment().workspace), self.level)
        parts = result.pop("parts", None)
        if self.step != PLANNING.name:
            return result
        context["ti"].xcom_push(key=PLAN_RESULT_KEY, value=result)
        return parts

    def _ask(self, context: Context, result: Mapping[str, Any], conn_id: str) -> Any:
        """Ask a language model what the step wants to know, and perform it again with the answers.

        The worker asks: the step has no connection, and with Docker no network. A task that is
        tried again, or cleared, asks nothing that was answered before.
        """
        from stage4.clients.llm.asking import RunOfLevel, ask_all

        uri = UPath(self.result_uri(context)).parent / "run.json"
        settings = run_settings(json.loads(uri.read_text(encoding="utf-8"))["settings"]).llm
        questions = read_questions(UPath(result["files"][QUESTIONS]))
        asked = ask_all(
            RunOfLevel(UPath(deployment().workspace), self.level, _job_id(context)),
            conn_id,
            settings,
            questions,
            left_out=int(result["metrics"]["llm.new_labels"]) - len(questions),
            stopping=lambda: self._killed,
        )
        if self._killed:
            raise AirflowException(f"{self._name} was killed while it waited for answers")
        self.options = {**(self.options or {}), "answers": asked.digest}
        return self.execute(context)

    def discard_canceled(self, context: Context) -> None:
        """Remove what the step has kept for its next try, if the job was canceled."""
        if find_step(self.step).mapped and self.is_canceled(context):
            result = UPath(self.result_uri(context))
            with suppress(OSError):  # another user's files: they go with `housekeeping`
                remove_checkpoint(checkpoint_folder(result.parent, result.stem))

    def own_environment(self, context: Context) -> dict[str, str]:
        """Build what this try's environment has beside the installation's."""
        rows = self._fewer_rows(context)
        if rows is None:
            return {}
        self.log.warning("an earlier try was out of memory: fewer rows at a time", batch_rows=rows)
        return {"STAGE4_BATCH_ROWS": str(rows)}

    def _take_less_memory(self, context: Context) -> None:
        """Let the next try take less memory.

        Raises:
            AirflowFailException: memory is known to have run out, and a try cannot take less.
        """
        if not self._search_fewer_rows(context) and self._out_of_memory:
            raise AirflowFailException(
                f"{self._name} needs more memory than it may have ({self._memory_limit}): raise "
                "the limit, or cut the work into smaller parts (parts.max_count, parts.min_rows)"
            )

    def _search_fewer_rows(self, context: Context) -> bool:
        if not find_step(self.step).mapped:
            return False
        rows = (self._fewer_rows(context) or deployment().batch_rows or BATCH_ROWS) // 2
        if rows < _FEWEST_ROWS:
            return False
        path = self._memory_file(context)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"batch_rows": rows}), encoding="utf-8")
        return True

    def _fewer_rows(self, context: Context) -> int | None:
        if not find_step(self.step).mapped:
            return None
        try:
            text = self._memory_file(context).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        rows = _json_object(text).get("batch_rows")
        return rows if isinstance(rows, int) else None

    def _memory_file(self, context: Context) -> UPath:
        """Name the file that outlives a try: what a task keeps in Airflow is gone with the try."""
        return UPath(f"{self.result_uri(context).removesuffix('.json')}.memory")

    def _fail(self, exit_code: int, last_error: str) -> NoReturn:
        message = f"{self._name} failed with {_end_of(exit_code)}: {last_error}"
        if exit_code in FATAL_EXIT_CODES:
            raise AirflowFailException(message)
        raise AirflowException(message)

    def _read_result(self, context: Context) -> dict[str, Any]:
        uri = self.result_uri(context)
        try:
            text = UPath(uri).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise AirflowException(
                f"{self._name} ended with exit code 0 but left no {uri}: does the runner see the "
                "same workspace as this worker (STAGE4_WORKSPACE, STAGE4_HOST_WORKSPACE)?"
            ) from None
        result = _json_object(text)
        if result.get("step") != self.step:
            raise AirflowException(f"{uri} holds no result of {self.step}: {text[:200]!r}")
        return result

    @property
    def _name(self) -> str:
        part = "" if self.part is None else f" (part {self.part['part']}, {self.part['name']})"
        return f"{self.step}{part} of {self.level}"


def _details(fields: Mapping[str, Any]) -> Iterator[str]:
    if trace := fields.get("exception"):
        yield f"({str(trace).splitlines()[-1]})"
    for name, value in fields.items():
        if name not in _OF_EVERY_ERROR:
            yield f"{name}={value}"


def _job_id(context: Context) -> str:
    return job_id(context["dag_run"].dag_id, context["run_id"])


def _end_of(exit_code: int) -> str:
    if exit_code in KILLED_HARD:
        return "SIGKILL, which is what the kernel sends when memory runs out"
    return f"exit code {exit_code}"


def _as_options(arguments: Mapping[str, Any]) -> list[str]:
    options = []
    for name, value in arguments.items():
        if value is not None:
            text = json.dumps(value) if isinstance(value, Mapping) else str(value)
            options += [f"--{name.replace('_', '-')}", text]
    return options


def _json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; empty when it is none. NaN becomes None, which XCom can hold."""
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
