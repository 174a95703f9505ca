"""A table of PostgreSQL as a source: the export that `check_stage3` makes, by a real server."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from clustering_tasks.pipeline import run_all
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.stage3.json_stream import parse
from clustering_tasks.workspace.cleanup import clean_workspace
from clustering_tasks.workspace.exports import remove_exports
from stage4.source_tables import export, rows
from stage4.tasks.level import check_settings, check_stage3
from tests.conftest import CommandLine, Workbench
from tests.integration.conftest import Results
from tests.integration.source_tables import News, news
from tests.integration.test_tasks import DagRun, Kept
from tests.stage3_folder import DIMENSION, blobs, plain_metadata, scattered, source_id, unit

__all__ = ["news"]  # a fixture

LEVEL = "documents"
SOURCE = {"input.source": "postgres", "input.table": "articles", "input.dimension": DIMENSION}


@pytest.fixture
def bench(
    workbench: Workbench, results: Results, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workbench]:
    """A workspace that is the installation's, too; its corrections are in the database."""
    monkeypatch.setenv("STAGE4_WORKSPACE", str(workbench.workspace))
    deployment.cache_clear()
    yield workbench
    deployment.cache_clear()


def check(conf: dict[str, Any] | None = None, level: str = LEVEL) -> tuple[dict[str, Any], Kept]:
    """What `check_stage3` returns, and what it pushes."""
    kept = Kept()
    return check_stage3(level, DagRun(SOURCE if conf is None else conf), kept), kept


def refused(conf: dict[str, Any] | None = None) -> str:
    with pytest.raises(AirflowFailException) as error:
        check(conf)
    return str(error.value)


def fill(news: News, count: int = 30) -> list[str]:
    ids = [source_id(LEVEL, number) for number in range(count)]
    news.fill(ids, blobs([count // 3] * 3), [plain_metadata(LEVEL, n) for n in range(count)])
    return ids


def assigned(done: dict[str, Any]) -> pa.Table:
    """All that a run has found out about its items."""
    return pq.read_table(done["members_parquet"]).drop_columns(["metadata"])


def vectors_of(bench: Workbench, job: str) -> bytes:
    record = json.loads((bench.workspace / LEVEL / "runs" / job / "snapshot.json").read_text())
    return Path(record["files"]["vectors"]).read_bytes()


@pytest.mark.parametrize(
    "vector", [f"vector({DIMENSION})", "vector", "real[]", "double precision[]"]
)
def test_the_clusters_are_those_of_stage_3s_files_of_the_same_vectors(
    news: News, bench: Workbench, vector: str
) -> None:
    news.create(vector)
    news.install()
    vectors = blobs([12, 9, 7], noise=5)
    metadata = [plain_metadata(LEVEL, number) for number in range(len(vectors))]
    names = bench.stage3.write(LEVEL, vectors, metadata)
    order = np.random.default_rng(3).permutation(len(vectors))
    ids = [source_id(LEVEL, number) for number in range(len(vectors))]
    news.fill([ids[n] for n in order], vectors[order], [metadata[n] for n in order])

    options, kept = check()

    ours = bench.perform(LEVEL, "ours")
    run = replace(bench.start(LEVEL, "theirs"), indices=options["indices"])
    run.start()
    theirs = run_all(run, bench.output, with_map=True)
    assert theirs["clusters"] == 3
    assert assigned(ours).equals(assigned(theirs))
    assert vectors_of(bench, "ours") == vectors_of(bench, "theirs")
    assert faiss.read_index(f"{options['indices']}/{LEVEL}.index").ntotal == len(names)
    assert kept.values["exported"] | {"seconds": 0, "folder": ""} == {
        "table": "articles",
        "folder": "",
        "rows": len(names),
        "without_vector": 0,
        "newest_update": None,
        "seconds": 0,
    }


def test_the_settings_of_the_run_name_the_table_and_no_sql(news: News, bench: Workbench) -> None:
    news.create()
    news.install(articles=news.listing(default=True))
    fill(news)
    options, _ = check({"input.dimension": DIMENSION})  # `auto`, and the table is the default
    assert options["settings"]["input"]["source"] == "postgres"
    assert options["settings"]["input"]["table"] == "articles"
    assert options["indices"].startswith(f"{bench.workspace}/{LEVEL}/exports/")


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"input.source": "postgres", "input.table": "users"}, "'users' is none that .* lists"),
        ({"input.source": "postgres", "input.table": "news.articles"}, "is none that"),
        (
            {"input.source": "postgres", "input.table": "events"},
            "listed for documents: articles, o",
        ),
        ({"input.source": "postgres"}, "name the table in input.table"),
        ({"input.table": "articles"}, "needs input.source=postgres"),
    ],
)
def test_a_table_that_is_not_listed_for_the_level_is_refused(
    news: News, bench: Workbench, conf: dict[str, Any], message: str
) -> None:
    news.install(
        articles=news.listing(),
        older=news.listing(),
        events=news.listing(level="events", cluster_id=None),
    )
    with pytest.raises(AirflowFailException, match=message):
        check(conf)


def test_cluster_all_refuses_what_a_level_would(news: News, bench: Workbench) -> None:
    news.install()
    with pytest.raises(AirflowFailException) as error:
        check_settings(
            DagRun({"common": SOURCE, "entities": {"input.source": "stage3", "input.table": None}})
        )
    refused = [line.partition(":")[0] for line in str(error.value).splitlines()[::2]]
    assert refused == ["events", "storylines"]
    common = {"input.dimension": DIMENSION}
    levels = check_settings(DagRun({"common": common, LEVEL: SOURCE}))
    assert levels[LEVEL]["input"]["table"] == "articles"


def test_names_with_quotes_dots_and_blanks_are_names(news: News, bench: Workbench) -> None:
    odd = replace(news, table=('ne"ws; DROP', "arti.cles') --"))
    column = 'em"bed; %s {x}'
    odd.create()
    odd.execute("ALTER TABLE {table} RENAME COLUMN embedding TO {column}", column=column)
    odd.execute(
        "INSERT INTO {table} (id, {column}) VALUES ('a', array_fill(.25, ARRAY[16])::vector)",
        column=column,
    )
    odd.install(articles=odd.listing(vector=column))
    assert check()[1].values["exported"]["rows"] == 1


def test_metadata_come_of_a_column_of_json_and_of_columns(news: News, bench: Workbench) -> None:
    news.create()
    news.fill(["a"], scattered(1), [{"title": "old", "word_count": 3}])
    news.execute("UPDATE {table} SET title = 'A \"title\"', published_at = '2026-01-02 03:04+01'")
    fields = {"title": "title", "publication_date": "published_at"}
    news.install(articles=news.listing(fields=fields, updated_at="updated_at"))
    options, kept = check()
    [entry] = json.loads(Path(f"{options['indices']}/{LEVEL}_metadata.json").read_text())[
        "metadata_store"
    ].values()
    changed = entry["metadata"].pop("updated_at")
    assert entry == {
        "source_id": "a",
        "metadata": {
            "title": 'A "title"',
            "publication_date": "2026-01-02T02:04:00+00:00",
            "word_count": 3,
        },
    }
    assert changed[:10] == str(kept.values["exported"]["newest_update"])[:10]


def test_rows_that_break_the_contract_are_named_all_at_once(news: News, bench: Workbench) -> None:
    news.create("real[]")
    news.install()
    good = scattered(1)[0].tolist()
    bad = {
        "missing": None,
        "nan": [float("nan"), *good[1:]],
        "infinite": [float("inf"), *good[1:]],
        "long": [2 * value for value in good],
        "short": good[:-1],
        "empty": [],
        "null_inside": [None, *good[1:]],
        "square": [good[:8], good[8:]],
        " ": good,
        "line\nfeed": good,
        "good": good,
    }
    for name, vector in bad.items():
        news.execute("INSERT INTO {table} (id, embedding) VALUES (%s, %s)", name, vector)
    news.execute("INSERT INTO {table} VALUES ('list', %s, '[1]')", good)
    message = refused()
    for part in (
        "vectors that are NULL (`null_vectors`: `skip` leaves such rows out): missing",
        "nan (norm nan)",
        "infinite (norm inf)",
        "long (norm 2)",
        f"input.dimension={DIMENSION}: empty (dimension 0), short (dimension {DIMENSION - 1})",
        "without NULLs: null_inside, square",
        "each is blank",
        "control character",
        "metadata that are no object: list",
    ):
        assert part in message, (part, message)
    assert "good" not in message
    assert not (bench.workspace / LEVEL / "exports").exists()


def test_values_that_a_conversion_refuses_are_named(news: News, bench: Workbench) -> None:
    news.create("double precision[]")
    news.install()
    good = scattered(1)[0].tolist()
    for name, value in (("huge", 1e300), ("good", good[0]), ("tiny", 1e-320)):
        news.execute(
            "INSERT INTO {table} (id, embedding) VALUES (%s, %s)", name, [value, *good[1:]]
        )
    news.install(articles=news.listing(normalise=True))
    message = refused()
    assert "huge (norm inf)" in message
    assert "good" not in message
    news.execute("DELETE FROM {table} WHERE id = 'huge'")
    assert check()[1].values["exported"]["rows"] == 2


def test_metadata_that_jsonb_cannot_hold_are_read_as_stage_3s(news: News, bench: Workbench) -> None:
    news.create()
    news.execute("ALTER TABLE {table} ALTER metadata TYPE json, ADD COLUMN more json")
    fields = {"title": "title", "more": "more"}
    news.install(articles=news.listing(fields=fields))
    vectors = scattered(3)
    news.fill(["a", "b", "c"], vectors, [{}] * 3)
    for name, text in (("a", r'{"n": "x\u0000y", "title": 1}'), ("b", r'{"n": "\ud800"}')):
        news.execute("UPDATE {table} SET metadata = %s WHERE id = %s", text, name)
    news.execute(r"""UPDATE {table} SET title = 'T', more = '{{"deep": "\u0000"}}'""")
    options, _ = check()
    written = Path(f"{options['indices']}/{LEVEL}_metadata.json").read_bytes()
    store = parse(written)["metadata_store"]
    found = {name[-1]: entry["metadata"] for name, entry in store.items()}
    assert found["a"] == {"n": "x\0y", "title": "T", "more": {"deep": "\0"}}
    assert found["c"] == {"title": "T", "more": {"deep": "\0"}}
    assert found["b"]["title"] == "T"


def test_many_bad_rows_are_counted_and_five_are_named(news: News, bench: Workbench) -> None:
    news.create()
    news.install()
    fill(news, 30)
    news.execute("UPDATE {table} SET embedding = NULL WHERE id >= 'doc_0010'")
    assert "doc_0010, doc_0011, doc_0012, doc_0013, doc_0014, ... (20 in all)" in refused()


def test_rows_without_a_vector_can_be_left_out(news: News, bench: Workbench) -> None:
    news.create()
    news.install(articles=news.listing(null_vectors="skip"))
    fill(news, 30)
    news.execute("UPDATE {table} SET embedding = NULL WHERE id >= 'doc_0010'")
    exported = check()[1].values["exported"]
    assert (exported["rows"], exported["without_vector"]) == (10, 20)


def test_vectors_can_be_scaled_and_zero_has_no_direction(news: News, bench: Workbench) -> None:
    news.create()
    news.install(articles=news.listing(normalise=True))
    news.fill(["a", "b"], 3 * scattered(2), [{}, {}])
    options, _ = check()
    path = Path(f"{options['indices']}/{LEVEL}.index")
    found = np.frombuffer(path.read_bytes()[-2 * DIMENSION * 4 :], "<f4").reshape(2, -1)
    assert np.allclose(found, unit(found), atol=1e-6)
    news.execute("UPDATE {table} SET embedding = array_fill(0, ARRAY[%s])::vector", DIMENSION)
    assert "without a direction (nan: NaN or infinite values): a (norm 0), b (norm 0)" in refused()


def test_halves_are_read_as_floats(news: News, bench: Workbench) -> None:
    news.create("halfvec")
    news.install()
    vectors = scattered(9)
    news.fill([str(number) for number in range(9)], vectors, [{}] * 9)
    path = Path(check()[0]["indices"]) / f"{LEVEL}.index"
    found = np.frombuffer(path.read_bytes()[45:], "<f4").reshape(9, -1)
    assert np.array_equal(found, vectors.astype(np.float16).astype(np.float32))


def test_ids_that_are_not_unique_are_named(news: News, bench: Workbench) -> None:
    news.create()
    news.install()
    fill(news, 3)
    news.execute("ALTER TABLE {table} DROP CONSTRAINT articles_pkey")
    news.execute("INSERT INTO {table} SELECT * FROM {table} WHERE id = 'doc_0001'")
    assert "ids that are not unique: doc_0001" in refused()


def test_missing_rights_are_named_with_their_grants(news: News, bench: Workbench) -> None:
    news.create()
    news.install()
    news.execute("REVOKE ALL ON {table} FROM {role}")
    news.execute("REVOKE UPDATE (cluster_id) ON {table} FROM {role}")
    message = refused()
    table = '"news"."articles"'
    read = f'GRANT SELECT ("id", "embedding", "metadata", "cluster_id") ON {table} TO'
    assert read in message
    assert f'GRANT UPDATE ("cluster_id") ON {table} TO "{news.role}";' in message
    news.execute(f"{read.replace('TO', '')} TO {{role}}")
    news.execute("GRANT UPDATE (cluster_id) ON {table} TO {role}")
    fill(news, 3)
    assert check()[1].values["exported"]["rows"] == 3
    news.execute("REVOKE USAGE ON SCHEMA news FROM {role}")
    assert f'GRANT USAGE ON SCHEMA "news" TO "{news.role}";' in refused()


def test_what_is_not_there_is_named(news: News, bench: Workbench) -> None:
    news.create()
    listing = news.listing(vector="vec", fields={"title": "head"}, cluster_id="published_at")
    news.install(articles=listing | {"metadata": "title"})
    message = refused()
    for part in (
        "no column vec (vector)",
        "no column head (fields.title)",
        "column published_at (cluster_id) is timestamptz, none of text, varchar",
        "column title (metadata) is text, none of json, jsonb",
    ):
        assert part in message
    news.execute("DROP TABLE {table}")
    assert "table `articles` (news.articles) does not exist in database" in refused()


def test_no_rows_make_an_empty_level(news: News, bench: Workbench, cli: CommandLine) -> None:
    news.create()
    news.install()
    options, kept = check()
    assert kept.values["exported"]["rows"] == 0
    arguments = ["--level", LEVEL, "--workspace", bench.workspace, "--indices", options["indices"]]
    done = cli("snapshot", *arguments, "--set", f"input.dimension={DIMENSION}")
    assert (done.code, done.result["metrics"]["items"]) == (0, 0)


def test_an_export_is_of_one_moment_whatever_is_written_meanwhile(
    news: News, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    news.create()
    news.install()
    ids = fill(news, 30)
    measured = rows.measure

    def then_somebody_writes(*arguments: Any) -> Any:
        size = measured(*arguments)
        news.execute("DELETE FROM {table} WHERE id < 'doc_0010'")
        news.execute("UPDATE {table} SET embedding = NULL")
        return size

    monkeypatch.setattr(export, "measure", then_somebody_writes)
    options, kept = check()
    assert kept.values["exported"]["rows"] == len(ids)
    size = Path(f"{options['indices']}/{LEVEL}.index").stat().st_size
    assert size == 45 + len(ids) * DIMENSION * 4


def test_a_table_cannot_vanish_while_it_is_read(
    news: News, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    news.create()
    news.install()
    ids = fill(news, 30)
    measured = rows.measure
    dropping = threading.Thread(target=news.execute, args=["DROP TABLE {table}"])

    def then_somebody_drops(*arguments: Any) -> Any:
        size = measured(*arguments)
        dropping.start()
        return size

    monkeypatch.setattr(export, "measure", then_somebody_drops)
    assert check()[1].values["exported"]["rows"] == len(ids)
    dropping.join()
    monkeypatch.setattr(export, "measure", measured)
    assert "does not exist in database" in refused()


def test_exports_do_not_pile_up(news: News, bench: Workbench) -> None:
    news.create()
    news.install()
    fill(news, 3)
    first, _ = check()
    second, _ = check()
    assert not Path(first["indices"]).exists()
    assert Path(second["indices"]).exists()
    remove_exports(bench.workspace, LEVEL)
    assert not (bench.workspace / LEVEL / "exports").exists()
    remove_exports(bench.workspace, LEVEL)


def test_a_deletion_and_housekeeping_remove_exports(
    news: News, bench: Workbench, cli: CommandLine
) -> None:
    news.create()
    news.install()
    where = ["--level", LEVEL, "--workspace", bench.workspace]
    exported = Path(check()[0]["indices"])
    assert cli("redact", *where).code == 0
    assert not exported.exists()
    exported = Path(check()[0]["indices"])
    for file in exported.iterdir():
        os.utime(file, (0, 0))
    cleaned = clean_workspace(str(bench.workspace), {}, keep_days=90)
    assert cleaned is not None
    assert cleaned.leftovers == 1
    assert not exported.exists()


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("bigint", ["10", "9"]),
        ("uuid", [str(UUID(int=n)) for n in (2, 1)]),
        ("varchar(9)", ["é", "z"]),
    ],
)
def test_ids_are_of_any_type_and_sorted_as_text(
    news: News, bench: Workbench, kind: str, ids: list[str]
) -> None:
    news.create(id_type=kind)
    news.install()
    news.fill(ids, scattered(2), [{}, {}])
    options, _ = check()
    metadata = json.loads(Path(f"{options['indices']}/{LEVEL}_metadata.json").read_text())
    assert list(metadata["id_map"].items()) == [
        (f"doc_emb_{name}", row) for row, name in enumerate(sorted(ids))
    ]
    assert list(metadata["metadata_store"]) == list(metadata["reverse_id_map"].values())


def test_a_level_column_parts_a_table(news: News, bench: Workbench) -> None:
    news.create()
    fill(news, 9)
    news.execute(
        "UPDATE {table} SET title = CASE WHEN id < 'doc_0004' THEN 'document' ELSE 'x' END"
    )
    news.install(articles=news.listing(level_column="title"))
    assert check()[1].values["exported"]["rows"] == 4


@pytest.mark.parametrize("kind", ["integer", "boolean", "real"])
def test_a_level_column_that_holds_no_names_is_refused(
    news: News, bench: Workbench, kind: str
) -> None:
    news.create()
    fill(news, 9)
    news.execute(f"ALTER TABLE {{table}} ADD COLUMN kind {kind}")
    news.install(articles=news.listing(level_column="kind"))
    message = refused()
    assert "column kind (level_column) is" in message
    assert "which holds no level's name, as documents or document" in message


@pytest.mark.parametrize("kind", ["varchar(20)", "char(20)", "name", "news.kinds"])
def test_a_level_column_may_be_of_any_type_of_names(
    news: News, bench: Workbench, kind: str
) -> None:
    news.create()
    fill(news, 9)
    news.execute("CREATE TYPE news.kinds AS ENUM ('document', 'event')")
    news.execute(f"ALTER TABLE {{table}} ADD COLUMN kind {kind} DEFAULT 'document'")
    news.install(articles=news.listing(level_column="kind"))
    assert check()[1].values["exported"]["rows"] == 9


WRITES: dict[str, tuple[tuple[str, ...], str]] = {
    "a view of distinct rows": (
        ("CREATE VIEW news.listed AS SELECT DISTINCT * FROM {table}",),
        "cannot be updated: list a table, or a view of one table",
    ),
    "a materialised view": (
        ("CREATE MATERIALIZED VIEW news.listed AS SELECT * FROM {table}",),
        "cannot be updated: list a table, or a view of one table",
    ),
    "a generated column": (
        (
            (
                "CREATE TABLE news.listed (id text, embedding vector(16), metadata jsonb,"
                " cluster_id text GENERATED ALWAYS AS (id) STORED)"
            ),
        ),
        "cannot be updated",
    ),
    "a short column": (
        (
            (
                "CREATE TABLE news.listed (id text, embedding vector(16), metadata jsonb,"
                " cluster_id varchar(9))"
            ),
        ),
        "cluster_id (cluster_id) takes 9 characters, and an id has up to 22: make it text",
    ),
    "a role that reads": (
        (
            "CREATE VIEW news.listed AS SELECT * FROM {table}",
            "ALTER ROLE {role} SET default_transaction_read_only = on",
        ),
        "SET default_transaction_read_only = off",
    ),
}


@pytest.mark.parametrize(("statements", "said"), WRITES.values(), ids=WRITES.keys())
def test_what_cannot_be_written_back_is_named_before_the_run(
    news: News, bench: Workbench, statements: tuple[str, ...], said: str
) -> None:
    news.create()
    for statement in statements:
        news.execute(statement)
    news.execute("GRANT SELECT, UPDATE ON news.listed TO {role}")
    news.install(articles=news.listing(table="news.listed"))
    assert said in refused()
    if "view" in said or "reads" in statements[0]:
        news.install(articles=news.listing(table="news.listed", cluster_id=None))
        assert check()[1].values["exported"]["rows"] == 0


def test_a_view_that_can_be_updated_is_as_a_table(news: News, bench: Workbench) -> None:
    news.create()
    news.execute("CREATE VIEW news.listed AS SELECT * FROM {table}")
    news.execute("GRANT SELECT, UPDATE ON news.listed TO {role}")
    news.install(articles=news.listing(table="news.listed"))
    assert check()[1].values["exported"]["rows"] == 0


def test_a_view_that_a_trigger_updates_is_as_a_table(news: News, bench: Workbench) -> None:
    news.create()
    news.execute("CREATE VIEW news.listed AS SELECT DISTINCT * FROM {table}")
    news.execute(
        "CREATE FUNCTION news.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    )
    news.execute(
        "CREATE TRIGGER pass INSTEAD OF UPDATE ON news.listed FOR EACH ROW"
        " EXECUTE FUNCTION news.pass()"
    )
    news.execute("GRANT SELECT, UPDATE ON news.listed TO {role}")
    news.install(articles=news.listing(table="news.listed"))
    assert check()[1].values["exported"]["rows"] == 0


OWN = (
    "source text, level text, size integer, job_id text, updated_at timestamptz,"
    " ended_at timestamptz"
)
CLUSTER_TABLES = {
    "no key": (
        f"cluster_id text, label text, keywords jsonb, centroid vector, {OWN}",
        'ALTER TABLE "news"."stories" ADD PRIMARY KEY (cluster_id);',
    ),
    "a key of two columns": (
        (
            f"cluster_id text, label text, keywords jsonb, centroid vector, {OWN},"
            " PRIMARY KEY (cluster_id, source)"
        ),
        "ADD PRIMARY KEY (cluster_id);",
    ),
    "a short label": (
        f"cluster_id text PRIMARY KEY, label varchar(5), keywords jsonb, centroid vector, {OWN}",
        "its label takes 5 characters, and 200 are needed",
    ),
    "a short id": (
        f"cluster_id varchar(12) PRIMARY KEY, label text, keywords jsonb, centroid vector, {OWN}",
        "its cluster_id takes 12 characters, and 22 are needed",
    ),
    "keywords that cannot be compared": (
        f"cluster_id text PRIMARY KEY, label text, keywords json, centroid vector, {OWN}",
        "its keywords is json, none of jsonb, text, varchar",
    ),
    "missing columns": ("cluster_id text PRIMARY KEY", "has no column source, level, label"),
}


@pytest.mark.parametrize(("columns", "said"), CLUSTER_TABLES.values(), ids=CLUSTER_TABLES.keys())
def test_a_table_of_clusters_that_cannot_be_written_is_named_before_the_run(
    news: News, bench: Workbench, columns: str, said: str
) -> None:
    news.create()
    news.execute(f"CREATE TABLE news.stories ({columns})")
    news.execute("GRANT ALL ON news.stories TO {role}")
    news.install(articles=news.listing(clusters="news.stories"))
    assert said in refused()


def test_a_missing_connection_names_the_list(
    news: News, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    news.install(articles=news.listing(conn_id="nowhere"))
    assert "no connection `nowhere`" in (message := refused())
    assert "STAGE4_SOURCE_TABLES" in message


def test_the_command_line_has_no_database(stage3: Any, bench: Workbench, cli: CommandLine) -> None:
    where = ["--level", LEVEL, "--workspace", bench.workspace, "--indices", stage3.path]
    done = cli("run", *where, "--set", "input.source=postgres", "--set", "input.table=articles")
    assert done.code == 64
    assert "input.source=postgres needs the database" in done.error


def test_a_snapshot_whose_export_is_gone_says_what_to_clear(
    bench: Workbench, cli: CommandLine
) -> None:
    where = ["--level", LEVEL, "--workspace", bench.workspace, "--indices", "/nowhere/exports/1"]
    done = cli(
        "snapshot", *where, "--set", "input.source=postgres", "--set", "input.table=articles"
    )
    assert done.code == 65
    assert "the export of table articles is gone" in done.error
    assert "Clear `check_stage3`" in done.error
