"""The tables that hold one load's rows: filled, checked, indexed, attached, and dropped again.

`ATTACH PARTITION` blocks no reader, and neither does the concurrent form of `DETACH PARTITION`;
dropping an attached partition would wait for all readers of all runs and make new ones queue.
"""

import time
from dataclasses import dataclass
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowFailException
from psycopg import errors
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal
from upath import UPath

from clustering_tasks.contract.columns import COLUMNS
from clustering_tasks.publication.report import Counts
from stage4.database import schema
from stage4.database.connection import Database

_CHUNK = 1 << 20
SWEEP_TIMEOUT = "30s"
READERS_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_SWEEP_LOCK = 0x57A6E5
_EXAMPLES = 5
_WRITERS = {"points": "map", "load_identities": "identify", "load_lineage": "identify"}

log = structlog.get_logger()

# FREEZE: the table is this transaction's own, so its pages need no second pass by VACUUM.
_CREATE = """
CREATE TABLE {table} (
    LIKE stage4.{parent}
        INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE,
    CONSTRAINT one_load CHECK (load_id = {load_id})
)
"""
_COPY = "COPY {table} ({columns}) FROM STDIN (FORMAT csv, HEADER match, FREEZE, ENCODING 'UTF8')"
_COUNTS = """
SELECT count(*), count(*) FILTER (WHERE status = 'clustered'),
    count(*) FILTER (WHERE status = 'noise'), count(*) FILTER (WHERE status = 'filtered'),
    count(*) FILTER (WHERE status = 'unassigned'), (SELECT count(*) FROM {clusters})
FROM {members}
"""
_WRONG_SIZES = """
SELECT cluster_id, size, coalesce(found, 0)
FROM {clusters} LEFT JOIN (
    SELECT cluster_id, count(*) AS found FROM {members} GROUP BY cluster_id
) counted USING (cluster_id)
WHERE size IS DISTINCT FROM found
ORDER BY cluster_id LIMIT {limit}
"""
_UNIDENTIFIED = """
SELECT cluster_id FROM {clusters} EXCEPT (
    SELECT cluster_id FROM {identities} JOIN {lineage} USING (cluster_id) WHERE state = 'active'
)
ORDER BY cluster_id LIMIT {limit}
"""
# What the parent has, for the partition: left to ATTACH, building them would hold up other loads.
_INDEXES = """
SELECT replace(
    regexp_replace(pg_get_indexdef(indexrelid), '^CREATE INDEX \\S+ ', 'CREATE INDEX '),
    format(' ON ONLY stage4.%%I ', %(parent)s::text), format(' ON stage4.%%I ', %(table)s::text)
)
FROM pg_index WHERE indrelid = format('stage4.%%I', %(parent)s::text)::regclass
AND NOT indisprimary ORDER BY indexrelid
"""
_PRIMARY_KEY = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = format('stage4.%%I', %(parent)s::text)::regclass AND contype = 'p'
"""
_NEIGHBOURS = """
CREATE INDEX {name} ON {table} USING hnsw ({centroid} halfvec_cosine_ops)
"""
# At least this much, in kB, to sort a million members' ids without a file.
_SORT_MEMORY = 262_144
# Workers that build an HNSW index together share this memory, and a container has 64 MB to share
# unless it was given more. The larger graph of more clusters is built by one process.
_SHARED_MEMORY = 65_536
_MOST_GRAPH_MEMORY = 2_097_152
# Of an element in the graph, beside its vector; measured 732. What does not fit takes far longer.
_LINKS_BYTES = 760
_READERS = """
SELECT virtualtransaction FROM pg_locks
WHERE relation IN ('stage4.clusters'::regclass, 'stage4.members'::regclass)
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND mode = 'AccessShareLock' AND pid <> pg_backend_pid()
"""
_UNREACHABLE = """
SELECT tables.relname, substring(tables.relname FROM '^(.+)_[0-9]+$'), links.inhdetachpending
FROM pg_class tables LEFT JOIN pg_inherits links ON links.inhrelid = tables.oid
WHERE tables.relnamespace = 'stage4'::regnamespace AND tables.relkind = 'r'
AND tables.relname ~ '^(clusters|members|points|load_identities|load_lineage)_[0-9]+$'
AND NOT EXISTS (
    SELECT FROM stage4.runs WHERE load_id = substring(tables.relname FROM '[0-9]+$')::bigint
)
"""


@dataclass(frozen=True)
class Partitions:
    """The tables of one load, invisible to others until the transaction commits.

    Attributes:
        connection: inside a transaction.
        load_id: of the load; the tables are `clusters_<load_id>`, `members_<load_id>`, of a run
            with a map `points_<load_id>`, and of one with lasting ids `load_identities_<load_id>`
            and `load_lineage_<load_id>`.
    """

    connection: Database
    load_id: int

    def fill(self, parent: str, uri: str) -> None:
        """Make the table and stream a file of `label`, `map` or `identify` into it.

        Args:
            parent: a key of `COLUMNS`.
            uri: CSV with the header of `COLUMNS[parent]`.

        Raises:
            AirflowFailException: the file is gone.
        """
        table = self._name(parent)
        load_id = Literal(self.load_id)
        self._execute(_CREATE, table=table, parent=Identifier(parent), load_id=load_id)
        self._execute(
            "ALTER TABLE {table} ALTER load_id SET DEFAULT {load_id}", table=table, load_id=load_id
        )
        copy = _compose(_COPY, table=table, columns=schema.columns(COLUMNS[parent]))
        try:
            with UPath(uri).open("rb") as file, self.connection.cursor().copy(copy) as target:
                while chunk := file.read(_CHUNK):
                    target.write(chunk)
        except FileNotFoundError:
            step = _WRITERS.get(parent, "label")
            raise AirflowFailException(f"{uri} is gone: clear `{step}`") from None

    def check(self, expected: Counts, dimension: int) -> None:
        """Compare the rows with the report.

        Args:
            expected: the report's counts.
            dimension: of every centroid.

        Raises:
            AirflowFailException: naming what differs.
        """
        self._check_counts(expected)
        self._check_sizes()
        # A constraint and not a query: it also tells the planner and the reader of the schema.
        self._execute(
            "ALTER TABLE {table} ADD CONSTRAINT one_dimension"
            " CHECK (vector_dims(centroid) = {dimension})",
            table=self._name("clusters"),
            dimension=Literal(dimension),
        )

    def check_identities(self) -> None:
        """Compare the clusters with what `identify` says of their ids.

        Raises:
            AirflowFailException: naming clusters without an active id, or without lineage.
        """
        missing = self._execute(
            _UNIDENTIFIED,
            clusters=self._name("clusters"),
            identities=self._name("load_identities"),
            lineage=self._name("load_lineage"),
            limit=Literal(_EXAMPLES),
        )
        if missing:
            raise AirflowFailException(
                f"`identify` knows nothing of clusters of this run ("
                f"{', '.join(name for (name,) in missing)}), and nothing was loaded: clear "
                "`identify` with its downstream tasks"
            )

    def index(self, parent: str) -> None:
        """Build the keys and indexes that the parent has, and analyse the table.

        `clusters` comes first: `members` refers to its key.
        """
        _at_least(self.connection, _SORT_MEMORY)
        names = {"parent": parent, "table": f"{parent}_{self.load_id}"}
        for (key,) in self.connection.execute(_PRIMARY_KEY, names).fetchall():
            self._execute("ALTER TABLE {table} ADD {key}", table=self._name(parent), key=SQL(key))
        for (definition,) in self.connection.execute(_INDEXES, names).fetchall():
            self.connection.execute(SQL(definition))
        if parent == "members":
            self._execute(
                "ALTER TABLE {members} ADD CONSTRAINT cluster_exists"
                " FOREIGN KEY (load_id, cluster_id) REFERENCES {clusters} (load_id, cluster_id)",
                members=self._name("members"),
                clusters=self._name("clusters"),
            )
        self._execute("ANALYZE {table}", table=self._name(parent))

    def index_centroids(self, clusters: int, dimension: int) -> None:
        """Build the HNSW index of the centroids, unless their dimension is too large for one."""
        if dimension > schema.MOST_INDEXED_DIMENSIONS:
            return
        kilobytes = clusters * (2 * dimension + _LINKS_BYTES) // 1024
        if kilobytes > _SHARED_MEMORY:
            self._execute("SET LOCAL max_parallel_maintenance_workers = 0")
        memory = min(max(kilobytes, _SHARED_MEMORY), _MOST_GRAPH_MEMORY)
        self._execute("SET LOCAL maintenance_work_mem = {memory}", memory=Literal(memory))
        self._execute(
            _NEIGHBOURS,
            name=Identifier(f"clusters_{self.load_id}_neighbours"),
            table=self._name("clusters"),
            centroid=schema.centroid(dimension),
        )

    def attach(self, parent: str) -> None:
        """Make the rows part of the parent."""
        self._execute(
            "ALTER TABLE stage4.{parent} ATTACH PARTITION {table} FOR VALUES IN ({load_id})",
            parent=Identifier(parent),
            table=self._name(parent),
            load_id=Literal(self.load_id),
        )

    def _check_counts(self, expected: Counts) -> None:
        names = ("read", "clustered", "noise", "filtered", "unassigned", "clusters")
        rows = self._execute(
            _COUNTS, clusters=self._name("clusters"), members=self._name("members")
        )
        found = dict(zip(names, rows[0], strict=True))
        if wrong := [
            f"{name}: {found[name]} in the files, {count} in the report"
            for name, count in expected.model_dump().items()
            if found[name] != count
        ]:
            raise AirflowFailException(
                f"the files of `label` contradict its report ({'; '.join(wrong)}), and nothing was "
                "loaded: clear `label`"
            )

    def _check_sizes(self) -> None:
        wrong = self._execute(
            _WRONG_SIZES,
            clusters=self._name("clusters"),
            members=self._name("members"),
            limit=Literal(_EXAMPLES),
        )
        if wrong:
            cases = "; ".join(
                f"{name}: size {size}, {found} members" for name, size, found in wrong
            )
            raise AirflowFailException(
                f"clusters without the members that they claim ({cases}), and nothing was loaded: "
                "clear `label`"
            )

    def _name(self, parent: str) -> Identifier:
        return schema.partition(parent, self.load_id)

    def _execute(self, statement: str, **parts: Composable) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(_compose(statement, **parts))
        return cursor.fetchall() if cursor.description else []


def _at_least(connection: Database, kilobytes: int) -> None:
    """Raise maintenance_work_mem for the transaction, where the server's is less."""
    connection.execute(
        "SELECT set_config(name, greatest(setting::bigint, %s)::text, true)"
        " FROM pg_settings WHERE name = 'maintenance_work_mem'",
        [kilobytes],
    )


def await_readers(connection: Database) -> None:
    """Wait until every statement that may have been planned before the attaching is over.

    A statement is planned first and takes its snapshot then. One that was planned without the new
    partitions must not find the pointer moved to them: it would see a published run without rows.
    Such a statement holds locks on the parents; it is past its snapshot within milliseconds, so
    that waiting for the end of long ones is limited.

    Args:
        connection: in autocommit mode, after the commit that attached.
    """
    before = _readers(connection)
    deadline = time.monotonic() + READERS_TIMEOUT_SECONDS
    while before and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        before &= _readers(connection)


def _readers(connection: Database) -> set[str]:
    return {transaction for (transaction,) in connection.execute(_READERS).fetchall()}


def sweep(connection: Database) -> None:
    """Drop the tables whose run is gone: rows that nobody can reach any more.

    The last act on a connection in autocommit mode, whose locks and settings end with it. Where
    readers take too long, the next load or publication drops them.
    """
    if connection.execute("SELECT pg_try_advisory_lock(%s)", [_SWEEP_LOCK]).fetchone() != (True,):
        return  # another process is at it
    connection.execute(_compose("SET lock_timeout = {limit}", limit=Literal(SWEEP_TIMEOUT)))
    try:
        _drop_unreachable(connection)
    except errors.LockNotAvailable:
        log.warning("rows of a replaced run are still being read; the next load drops them")


def _drop_unreachable(connection: Database) -> None:
    tables = connection.execute(_UNREACHABLE).fetchall()
    for name, parent, pending in tables:
        if pending is not None:  # else it is detached already
            _detach(connection, name, parent, pending)
    if tables:
        names = SQL(", ").join(Identifier("stage4", name) for name, *_ in tables)
        connection.execute(_compose("DROP TABLE {names}", names=names))


def _detach(connection: Database, name: str, parent: str, pending: bool) -> None:
    """Detach a partition; `pending` is what an attempt that was broken off has left."""
    connection.execute(
        _compose(
            "ALTER TABLE stage4.{parent} DETACH PARTITION {table} {how}",
            parent=Identifier(parent),
            table=Identifier("stage4", name),
            how=SQL("FINALIZE" if pending else "CONCURRENTLY"),
        )
    )


def _compose(statement: str, **parts: Composable) -> Composed:
    return SQL(statement).format(**parts)
