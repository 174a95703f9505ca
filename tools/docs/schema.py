"""docs/reference/schema.md, written from the catalogue of a migrated database.

`PYTHONPATH=.:plugins python -m tools.docs.schema` makes such a database and writes the page;
with `--check` it fails if it differs.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from clustering_tasks.settings.run import RunSettings
from stage4.database import schema
from stage4.database.connection import Database
from tools.docs.settings import page, run, table

PAGE = "docs/reference/schema.md"
COMMAND = "python -m tools.docs.schema"

_RELATIONS = """
SELECT oid, relname, relkind = 'v', obj_description(oid, 'pg_class') FROM pg_class
WHERE relnamespace = 'stage4'::regnamespace AND relkind IN ('r', 'p', 'v')
AND NOT relispartition AND relname <> 'alembic_version' ORDER BY relkind = 'v', oid
"""
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum)
FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_CONSTRAINTS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %s AND contype IN ('p', 'u', 'f', 'c') ORDER BY contype DESC, conname
"""
_INDEXES = """
SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '')
FROM pg_index WHERE indrelid = %s AND NOT indisunique ORDER BY indexrelid
"""


def main() -> int:
    """Write or check the page; returns the exit code."""
    from local.postgres import RESULTS, Postgres
    from stage4.setup import migrate

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the server's user, where we are root, has to pass
        server = Postgres(Path(folder) / "postgres")
        server.start()
        try:
            with psycopg.connect(server.url(RESULTS), autocommit=True) as connection:
                migrate(connection)
                found = schema_page(connection)
        finally:
            server.stop()
    return run(lambda: {PAGE: found})


def schema_page(connection: Database) -> str:
    """Describe the tables and views of the schema `stage4`.

    Args:
        connection: to a database at the newest migration.
    """
    relations = connection.execute(_RELATIONS).fetchall()
    tables = [
        _section(connection, oid, name, purpose)
        for oid, name, is_view, purpose in relations
        if not is_view
    ]
    views = [(f"`{name}`", purpose) for _, name, is_view, purpose in relations if is_view]
    dimension = RunSettings().input.dimension
    return page(
        COMMAND,
        "Schema of the results database",
        "Made by `python -m stage4.setup`, in the schema `stage4`. A run is loaded into partitions "
        "of its own, `clusters_<load_id>`, `members_<load_id>` and, where the run has a map, "
        "`points_<load_id>`, which have the columns, keys and "
        "indexes of their parents. Who reads a published run takes its `load_id` from `published` "
        "and then asks its partitions by name, which is planned faster than a query of all runs; "
        "a partition that is gone belongs to a run that is. Each partition of `clusters` has one "
        f"more index, `clusters_<load_id>_neighbours`: `hnsw ({schema.text(dimension)} "
        "halfvec_cosine_ops)` with the dimension of the run, which serves `ORDER BY` that "
        "expression `<=>` a vector of the same type. Above "
        f"{schema.MOST_INDEXED_DIMENSIONS:,} dimensions there is none.",
        *tables,
        "## Views",
        table(("view", "shows"), views),
    )


def _section(connection: Database, oid: int, name: str, purpose: str) -> str:
    columns = (
        (f"`{column}`", f"`{kind}`", "" if required else "yes", _plain(meaning))
        for column, kind, required, meaning in connection.execute(_COLUMNS, [oid]).fetchall()
    )
    lists = {"Constraints": _CONSTRAINTS, "Indexes": _INDEXES}
    return "\n\n".join(
        (
            f"## {name}",
            _plain(purpose),
            table(("column", "type", "null", "meaning"), columns),
            *_lists(connection, oid, lists),
        )
    )


def _plain(text: str) -> str:
    return text.replace("<", r"\<")  # `<load_id>` would be read as HTML


def _lists(connection: Database, oid: int, queries: Mapping[str, str]) -> Iterator[str]:
    for title, query in queries.items():
        if rows := connection.execute(query.encode(), [oid]).fetchall():
            yield f"{title}:\n\n" + "\n".join(f"- `{definition}`" for (definition,) in rows)


if __name__ == "__main__":
    sys.exit(main())
