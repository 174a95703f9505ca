"""What an error of this package means for a task."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from clustering_tasks.errors import FATAL_EXIT_CODES, Stage4Error, of_the_system
from clustering_tasks.stage3.text import cut, visible

ERROR = "error"  # key of the XCom in which a failed task keeps its message
_LONGEST = 4096  # characters of it


def keep_error(context: Mapping[str, Any]) -> None:
    """Keep the message of a task that has failed for good, for `jobs/{id}`.

    Of an error that is not this package's only the kind is kept: its words may be anybody's.

    Args:
        context: of the task. A task that was found dead has no error in it, and the process that
            is called then can keep nothing.
    """
    error = context.get("exception")
    if isinstance(error, BaseException):
        context["ti"].xcom_push(key=ERROR, value=cut(visible(_message(error)), _LONGEST))


def _message(error: BaseException) -> str:
    if isinstance(error, AirflowTaskTimeout):
        return "it took longer than STAGE4_STEP_TIMEOUT_MINUTES allows"
    if isinstance(error, AirflowException):
        return str(error)
    return f"{type(error).__name__}: the log of the task in Airflow has more"


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn this package's errors into Airflow's: fatal ones are not tried again."""
    try:
        yield
    except OSError as error:
        if refused := of_the_system(error):
            raise AirflowFailException(str(refused)) from error
        raise
    except Stage4Error as error:
        if error.exit_code in FATAL_EXIT_CODES:
            raise AirflowFailException(str(error)) from error
        raise AirflowException(str(error)) from error
