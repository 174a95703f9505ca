"""The beginning and the end of the DAG."""

import time
from datetime import timedelta

from airflow.sdk.exceptions import AirflowException
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import write_tombstones
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from stage4.database.connection import database
from stage4.database.pointer import locked_pointer
from stage4.database.tombstones import tombstones_of

# A run that was under way may leave files of a document that is deleted by then.
WATCHED = timedelta(days=2)
_REPLACED_SECONDS = 300.0
_POLL_SECONDS = 5.0
_DUE = "SELECT deletion_id FROM stage4.deletions WHERE carried_out_at IS NULL ORDER BY 1"
_RECENT = "SELECT EXISTS (SELECT FROM stage4.deletions WHERE carried_out_at > now() - %s)"
_REPLACED = """
SELECT count(*) FROM stage4.runs old WHERE deleting IS NOT NULL AND EXISTS (
    SELECT FROM stage4.runs new WHERE new.level = old.level AND new.job_id = old.job_id
    AND new.load_id > old.load_id
)
"""
_DONE = """
UPDATE stage4.deletions SET carried_out_at = now()
WHERE deletion_id = ANY(%s) AND carried_out_at IS NULL
"""


def start_deletion() -> list[int] | None:
    """Give the steps the tombstones, and name the deletions that are to be carried out.

    Returns:
        their numbers; None when there is nothing to do, and nothing to look after.

    Raises:
        SettingsError: this worker lacks the secret, or has another one.
        AirflowException: the database cannot be reached.
    """
    with database() as connection:
        deleted = tombstones_of(connection)
        due = [number for (number,) in connection.execute(_DUE).fetchall()]
        recent = connection.execute(_RECENT, [WATCHED]).fetchone() == (True,)
    if deleted.hashes:
        write_tombstones(UPath(deployment().workspace), deleted)
    return due if due or recent else None


def close_deletion(deletions: list[int]) -> dict[str, int]:
    """Wait until nobody can read the replaced runs, clear the cache, and close the audit.

    Args:
        deletions: numbers, from `begin`.

    Returns:
        For XCom: how many answers went from the cache, and how many deletions are done.

    Raises:
        AirflowException: replaced runs are still being read, or Redis cannot be reached.
    """
    _remove_replaced()
    with database() as connection:
        # Else the rows that were changed stay in the tables' files until the next VACUUM.
        connection.execute(
            "VACUUM (ANALYZE) stage4.runs, stage4.metrics, stage4.alerts, stage4.corrections"
        )
        cleared = clear_cache()
        done = connection.execute(_DONE, [deletions]).rowcount
    return {"cleared_answers": cleared, "done": done}


def _remove_replaced() -> None:
    deadline = time.monotonic() + _REPLACED_SECONDS
    while True:
        for level in LEVELS:
            with locked_pointer(level):
                pass  # which removes what was replaced, and drops its tables
        with database() as connection:
            if connection.execute(_REPLACED).fetchone() == (0,):
                return
        if time.monotonic() > deadline:
            raise AirflowException("replaced runs are still there: trying again may help")
        time.sleep(_POLL_SECONDS)


def clear_cache() -> int:
    """Remove every kept answer from Redis; they are made again."""
    conn_id = deployment().redis_conn_id
    if conn_id is None:
        return 0
    from airflow.sdk import BaseHook
    from redis import Redis, RedisError

    from stage4.redis_link import PREFIX, RedisAddressError, redis_url

    try:
        with Redis.from_url(redis_url(BaseHook.get_connection(conn_id))) as client:
            names = list(client.scan_iter(match=f"{PREFIX}*", count=1000))
            for start in range(0, len(names), 1000):
                client.unlink(*names[start : start + 1000])
    except (RedisError, RedisAddressError) as error:
        raise AirflowException(
            f"Redis ({conn_id}) cannot be cleared of answers about a deleted document: {error}"
        ) from error
    return len(names)
