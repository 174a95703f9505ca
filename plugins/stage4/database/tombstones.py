"""The tombstones of the results database."""

from airflow.sdk.exceptions import AirflowFailException
from psycopg.sql import SQL

from clustering_tasks.deleted_documents.tombstones import Tombstones, tombstones
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import deployment
from stage4.database import schema
from stage4.database.connection import Database


def tombstones_of(connection: Database) -> Tombstones:
    """Read all tombstones.

    Raises:
        SettingsError: there are some, but this installation lacks their secret.
    """
    rows = connection.execute("SELECT document_hash, key_check FROM stage4.deletions").fetchall()
    hashes, checks = {row[0] for row in rows}, {row[1] for row in rows}
    return tombstones(deployment().deletion_key, hashes, checks)


def refuse_deleted(connection: Database, load_id: int) -> None:
    """Refuse a load with items of a deleted document: its snapshot is older than the deletion.

    The last act of the load's transaction: whoever asks for a deletion meanwhile waits until it
    is over, and then finds the load's rows.

    Raises:
        AirflowFailException: the run holds such items, or they cannot be told from others.
    """
    connection.execute("LOCK TABLE stage4.deletions IN SHARE MODE")
    try:
        deleted = tombstones_of(connection)
    except SettingsError as error:
        raise AirflowFailException(str(error)) from error
    if not deleted.hashes:
        return
    statement = SQL("SELECT DISTINCT document_id FROM {members}").format(
        members=schema.partition("members", load_id)
    )
    if count := len(deleted.among(name for (name,) in connection.execute(statement))):
        raise AirflowFailException(
            f"{count} documents of this run have been deleted since its snapshot was made, and "
            "nothing was loaded: let the DAG `delete_document` end, then clear `snapshot` with its "
            "downstream tasks"
        )
