"""Task that writes a published run back to the table that it was read from."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
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


def write_back_all() -> Json:
    """Write all levels back, as a deletion does: their published runs have lost items.

    Returns:
        Level to what `write_back` returns for it, of the levels that were read from a table.

    Raises:
        AirflowSkipException: none was.
        AirflowFailException, AirflowException: as `write_back`.
    """
    from stage4.source_tables.write_back import write_back_level

    tables = deployment().source_tables
    levels = LEVELS if tables else ()
    with airflow_errors():
        done = {level: write_back_level(level, tables, erase=True) for level in levels}
    if not any(done.values()):
        raise AirflowSkipException("no published run was read from a table that is written to")
    return {level: each for level, each in done.items() if each is not None}
