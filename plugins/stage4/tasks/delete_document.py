"""Tasks of the DAG `delete_document`."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from stage4.tasks.errors import airflow_errors

Json = dict[str, Any]


def start_deletion() -> Json:
    """Give the steps the tombstones, and name the deletions that are to be carried out.

    Raises:
        AirflowSkipException: there are none, nor were there any in the last two days.
    """
    from stage4.deletions import progress

    with airflow_errors():
        due = progress.start_deletion()
    if due is None:
        raise AirflowSkipException("no document is to be deleted")
    return {"deletions": due}


def reload_level(level: str) -> Json:
    """Replace a level's runs and files by those without the deleted documents."""
    from stage4.deletions import replacing

    with airflow_errors():
        return replacing.reload_level(level)


def close_deletion(begun: Mapping[str, Any]) -> Json:
    """Clear the cache and close the audit.

    Args:
        begun: the result of `start_deletion`.
    """
    from stage4.deletions import progress

    return progress.close_deletion(begun["deletions"])
