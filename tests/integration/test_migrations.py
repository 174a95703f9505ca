"""The schema: made, taken back, made again, and in step with what the code says of it."""

from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from psycopg.sql import SQL, Identifier

from clustering_tasks.settings.levels import LEVELS
from stage4.database.connection import database
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from stage4.setup import MIGRATIONS, migrate
from tests.integration import former_loads
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of

RELATIONS = (
    "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'stage4'::regnamespace"
    " AND relkind IN ('r', 'p', 'v', 'S', 'i', 'I') ORDER BY 1"
)
INDEXES = (
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid"
    " WHERE relname IN (%s, %s) AND indisvalid ORDER BY 1"
)


def test_downgrade_takes_everything_back_and_upgrade_makes_it_again(
    results: Results, tmp_path: Path
) -> None:
    label = Label(tmp_path).write()
    before = results.rows(RELATIONS)
    load_run(label["files"], report_of(label))
    with database() as connection:
        migrate(connection, "base")
        left = {name for name, _ in results.rows(RELATIONS)}
        assert left == {"alembic_version", "alembic_version_pkc"}
        migrate(connection)
        migrate(connection)  # at the head already: nothing happens
    assert results.rows(RELATIONS) == before
    load_run(label["files"], report_of(label))


def test_a_database_with_runs_is_brought_up_to_date(results: Results, tmp_path: Path) -> None:
    first = Label(tmp_path)
    with database() as connection:
        migrate(connection, "0001")
        former_loads.load(connection, first.write()["files"])
        migrate(connection)
        label = first.later().write()
        path = Path(label["files"]["members_csv"])
        path.write_text(path.read_text().replace('"noise",,', '"noise","individual",'))
        load(label)
        kinds = "SELECT assignment, count(*) FROM stage4.members GROUP BY 1 ORDER BY 1"
        expected = [("core", 24), ("individual", 2), (None, 4)]
        assert results.rows(kinds, user=results.loader) == expected
        migrate(connection, "base")
        migrate(connection)
        load(first.write())


def test_going_back_and_forth_keeps_the_runs_their_indexes_and_the_readers(
    results: Results, tmp_path: Path
) -> None:
    label = Label(tmp_path).write()
    load(label)
    with locked_pointer("events") as pointer:
        pointer.move(1)
    before = results.rows(INDEXES, "clusters_1", "members_1", user=results.loader)
    assert len(before) == 16
    with database() as connection:
        migrate(connection, "0002")
        assert results.rows("SELECT count(*) FROM stage4.current_members") == [(15,)]
        migrate(connection)
    assert results.rows(INDEXES, "clusters_1", "members_1", user=results.loader) == before
    assert results.rows(
        "SELECT count(*) FROM stage4.current_clusters WHERE search @@ 'hiroshima' AND tags = '[]'"
    ) == [(3,)]
    assert results.rows("SELECT count(*) FROM stage4.current_members") == [(15,)]
    history = "SELECT level, load_id, job_id, act FROM stage4.publications"
    assert results.rows(history, user=results.loader) == [
        ("events", 1, label_job(label), "publish")
    ]
    load(label)
    later = results.rows(INDEXES, "clusters_2", "members_2", user=results.loader)
    assert [line.replace("_2", "_1") for (line,) in later] == [line for (line,) in before]


DESCRIBED = (
    "SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull,"
    " obj_description(attrelid, 'pg_class'), col_description(attrelid, attnum),"
    " pg_get_viewdef(attrelid), relacl::text"
    " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " WHERE relnamespace = 'stage4'::regnamespace AND attnum > 0 AND NOT attisdropped"
    " AND relname <> 'alembic_version' ORDER BY relname, attnum"
)
CONSTRAINTS = (
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'stage4'::regnamespace ORDER BY 1, 2"
)


def test_the_new_name_of_a_loads_number_can_be_taken_back(results: Results, tmp_path: Path) -> None:
    made = Label(tmp_path)
    with database() as connection:
        migrate(connection, "base")
        migrate(connection, "0006")
        before = results.rows(DESCRIBED), results.rows(CONSTRAINTS)
        first = former_loads.load(connection, made.write()["files"])
        former_loads.publish(connection, first, "events")
        migrate(connection)
        load(made.later().write())
        named = [row for row in results.rows(CONSTRAINTS) if "run_id" in str(row)]
        assert all("requested_runs" in str(row) for row in named)  # Airflow's own run id
        migrate(connection, "0006")
        seen = "SELECT run_id, count(*) FROM stage4.current_members GROUP BY 1"
        assert results.rows(seen, user=results.loader) == [(first, 15)]
        assert former_loads.load(connection, made.write()["files"]) == first + 2
        connection.execute("TRUNCATE stage4.runs CASCADE")
        for name in sorted(results.tables(), reverse=True):  # members refer to clusters
            connection.execute(SQL("DROP TABLE stage4.{}").format(Identifier(name)))
    after = results.rows(DESCRIBED), results.rows(CONSTRAINTS)
    assert after == before


def label_job(label: dict[str, Any]) -> str:
    return report_of(label).job_id


def test_every_table_and_column_says_what_it_is(results: Results) -> None:
    silent = results.rows(
        "SELECT relname, attname FROM pg_class LEFT JOIN pg_attribute"
        " ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'v'"
        " WHERE relnamespace = 'stage4'::regnamespace AND relkind IN ('r', 'p', 'v')"
        " AND col_description(pg_class.oid, coalesce(attnum, 0)) IS NULL"
    )
    assert [name for name, _ in silent if name != "alembic_version"] == []


def load(label: dict[str, Any]) -> None:
    load_run(label["files"], report_of(label))


def test_the_version_table_is_in_the_schema(results: Results) -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    version = results.rows("SELECT version_num FROM stage4.alembic_version", user=results.loader)
    assert version == [(script.get_current_head(),)]
    assert results.rows("SELECT to_regclass('public.alembic_version')::text") == [(None,)]


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


def test_every_level_has_its_pointer_and_its_branch_of_the_views(results: Results) -> None:
    levels = results.rows("SELECT level FROM stage4.published", user=results.loader)
    assert {level for (level,) in levels} == set(LEVELS)
    for view in ("current_clusters", "current_members"):
        ((definition,),) = results.rows("SELECT pg_get_viewdef(%s::regclass)", f"stage4.{view}")
        for level in LEVELS:
            assert definition.count(f"'{level}'::text") == 2


def test_a_migration_that_fails_leaves_the_schema_as_it_was(results: Results) -> None:
    with results.server.connect(results.database, results.loader) as connection:
        migrate(connection, "base")
        connection.execute("CREATE TABLE stage4.published (mine int)")
        with pytest.raises(Exception, match='"published" already exists'):
            migrate(connection)
        assert connection.autocommit
    assert {name for name, _ in results.rows(RELATIONS)} == {
        *("alembic_version", "alembic_version_pkc", "published")
    }
