"""docs/reference/errors.md: what an error means for the task that meets it."""

from collections.abc import Iterator

from clustering_tasks import errors
from tools.docs.settings import first_line, page, table

PAGE = "docs/reference/errors.md"

_EXIT_CODES = (
    "How a step tells its runner what its end means; the numbers are those of `sysexits.h`. A "
    "code that is not retried fails the Airflow task at once, whatever its retries. A step that is "
    "ended by SIGTERM exits with 143, or with 85; a killed task never counts as done."
)
_PAUSES = (
    "Airflow waits before a retry: `STAGE4_RETRY_DELAY_SECONDS`, doubled for each further one, and "
    "up to as much again, which differs from task to task, so that tasks that failed together do "
    "not come back together; an hour at most."
)
# Who is asked, what is answered, whether the task is tried again, and what is done.
_HTTP = (
    ("Stage 3", "no answer, 429, 5xx, no JSON", "yes", "exit code 75"),
    ("Stage 3", "any other 4xx", "no", "`STAGE4_STAGE3_URL` is wrong: exit code 64"),
    ("Stage 5", "no answer, 429, 5xx", "yes", "first some times within the task"),
    ("Stage 5", "3xx, any other 4xx", "no", "a redirect is not followed"),
    ("Docker's engine", "no answer", "yes", ""),
    ("Docker's engine", "it refuses the container", "no", "such as an unknown image or network"),
)


def errors_page(command: str) -> str:
    """List exit codes, errors of the database, and answers over HTTP.

    Args:
        command: that writes the page.
    """
    return page(
        command,
        "Errors",
        "Which errors fail a task at once, and which are tried again.",
        _PAUSES,
        "## Exit codes",
        _EXIT_CODES,
        table(("code", "class", "retried", "meaning"), sorted(_exit_codes())),
        "## Errors of the results database",
        "By SQLSTATE, of which two characters are a class; the first row that fits holds.",
        table(("SQLSTATE", "retried", "what to do"), _sqlstates()),
        "## Answers over HTTP",
        table(("of", "answer", "retried", ""), _HTTP),
    )


def _exit_codes() -> Iterator[tuple[int, str, str, str]]:
    yield 0, "", "", "done"
    for error in errors.Stage4Error.__subclasses__():
        retried = "no" if error.exit_code in errors.FATAL_EXIT_CODES else "yes"
        yield error.exit_code, f"`{error.__name__}`", retried, first_line(error)
    yield errors.INTERNAL_ERROR, "any other exception", "yes", "a defect of ours"
    library = "It ended the process, as OpenBLAS does where memory is refused (`ulimit -v`)."
    yield errors.LIBRARY_ERROR, "the interpreter, a library", "yes", library
    kept = (
        "`cluster` was ended while it searched. What it has found is kept: the next try goes on "
        "from there, of a paused job when it is resumed."
    )
    yield errors.CHECKPOINTED, "SIGTERM", "yes", kept
    killed = (
        "Most often the kernel's, when memory runs out. `cluster` then searches half as many rows "
        "at a time (`STAGE4_BATCH_ROWS`). Another step whose container was out of memory is not "
        "tried again."
    )
    yield errors.KILLED, "SIGKILL", "yes", killed


def _sqlstates() -> Iterator[tuple[str, str, str]]:
    from stage4.database.connection import MEANINGS

    for kinds, meaning in MEANINGS:
        states = [kind.sqlstate or _CLASSES[kind.__name__] for kind in kinds]
        yield ", ".join(states), "no" if meaning.fatal else "yes", meaning.advice
    yield "any other", "yes", "a defect of ours, or of the database: the log has more"


# Of PEP 249's kinds, which have no state of their own.
_CLASSES = {
    "DataError": "22xxx",
    "IntegrityError": "23xxx",
    "OperationalError": "08xxx, 40xxx, 53xxx, 55xxx, 57xxx, 58xxx, no connection",
}
