"""Task that writes a published run back to the table that it was read from."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from clustering_tasks.settings.deployment import deployment
from stage4.tasks.errors import airflow_errors

Json = dict[str, Any]


def write_back(published: Mapping[str, Any]) -> Json:
    """Write the clusters, and each row's cluster, that readers of a level see.

    Args:
        published: the result of `publish`, or of `roll_back`.

    Returns:
        What `write_back_level` returns: how many rows were changed.

    Raises:
        AirflowSkipException: the run was not read from a table, or nothing is to be written to it.
        AirflowFailException: the table, a column or a right is missing.
        AirflowException: a database went away, or a lock was waited for too long.
    """
    from stage4.source_tables.write_back import write_back_level

    with airflow_errors():
        done = write_back_level(published["level"], deployment().source_tables)
    if done is None:
        raise AirflowSkipException(
            f"the published run of {published['level']} was read from Stage 3's folder, or its "
            "table has no column for clusters"
        )
    return done
