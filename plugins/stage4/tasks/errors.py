"""What an error of this package means for a task."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from clustering_tasks.errors import FATAL_EXIT_CODES, Stage4Error, of_the_system


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
