"""Writing a published run back to its table: only what changed, by a real server."""

import csv
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from psycopg import sql

from clustering_tasks.settings.source_tables import SourceTable
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from stage4.database.roll_back import roll_back
from stage4.source_tables import write_back as module
from stage4.source_tables.clusters_table import ensure_clusters
from stage4.source_tables.connection import table_database
from stage4.tasks.write_back import write_back, write_back_all
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of
from tests.integration.source_tables import News, news
from tests.stage3_folder import DIMENSION, scattered

__all__ = ["news"]  # a fixture

pytestmark = pytest.mark.usefixtures("workspace", "results")

LEVEL = "documents"
CLUSTERS = ("news", "story clusters")
COUNTS = (
    *("rows_assigned", "rows_cleared", "rows_updated"),
    *("clusters_inserted", "clusters_updated", "clusters_ended"),
)


def ids_of(label: Label) -> list[str]:
    return [row["source_id"] for row in label.member_rows()]


def publish(
    label: Label, table: str | None = "articles", ids: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Load and publish a run.

    Args:
        label: its files.
        table: that it was read from; None: Stage 3's folder.
        ids: other source ids for those of the files.
    """
    result = label.write()
    path = Path(result["files"]["report"])
    report = orjson.loads(path.read_bytes())
    if table is not None:
        report["settings"]["input"] |= {"source": "postgres", "table": table}
    path.write_bytes(orjson.dumps(report))
    if ids is not None:
        rename(Path(result["files"]["members_csv"]), ids)
    load_run(result["files"], report_of(result))
    return publish_run(result)


def rename(members: Path, ids: Mapping[str, str]) -> None:
    with members.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with members.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"source_id": ids[row["source_id"]]} for row in rows)


def counts(done: dict[str, Any]) -> tuple[int, ...]:
    return tuple(done.get(name, 0) for name in COUNTS)


@pytest.fixture
def label(tmp_path: Path) -> Label:
    """Three clusters of four, two of noise, one filtered."""
    return Label(tmp_path, "cluster_documents.manual__1", LEVEL, dimension=DIMENSION)


@pytest.fixture
def articles(news: News, label: Label) -> News:
    """A table with a row for each item of the run, and two more."""
    news.create()
    news.install(articles=news.listing(clusters=list(CLUSTERS)))
    ids = [*ids_of(label), "not in the run", "neither"]
    news.fill(ids, scattered(len(ids)), [{}] * len(ids))
    return news


def expected(label: Label) -> dict[str, str | None]:
    rows = {row["source_id"]: row.get("cluster_id") for row in label.member_rows()}
    return {**rows, "not in the run": None, "neither": None}


def clusters(news: News) -> list[tuple[Any, ...]]:
    where = replace(news, table=CLUSTERS)
    return where.execute(
        "SELECT cluster_id, source, level, label, size, ended_at IS NOT NULL FROM {table}"
        " ORDER BY cluster_id"
    )


def test_each_row_gets_its_cluster_and_noise_gets_null(articles: News, label: Label) -> None:
    articles.execute(
        "UPDATE {table} SET cluster_id = 'old' WHERE id IN ('neither', %s)", ids_of(label)[-1]
    )
    done = write_back(publish(label))
    assert articles.clusters() == expected(label)
    assert counts(done) == (12, 2, 14, 3, 0, 0)
    assert (done["table"], done["job_id"]) == ("articles", label.job_id)
    assert clusters(articles) == [
        (row["cluster_id"], "articles", LEVEL, label.text, 4, False)
        for row in sorted(label.cluster_rows(), key=lambda row: row["cluster_id"])
    ]


def versions(news: News) -> list[tuple[Any, ...]]:
    """Of each row of both tables the transaction that wrote it last."""
    rows = news.execute("SELECT id, xmin::text FROM {table} ORDER BY id")
    own = replace(news, table=CLUSTERS)
    return rows + own.execute("SELECT cluster_id, xmin::text FROM {table} ORDER BY cluster_id")


def test_again_it_touches_nothing(articles: News, label: Label) -> None:
    published = publish(label)
    write_back(published)
    before = versions(articles)
    assert counts(write_back(published)) == (0,) * 6
    assert versions(articles) == before


def test_the_next_run_touches_what_changed_and_marks_what_is_gone(
    articles: News, label: Label
) -> None:
    write_back(publish(label))
    later = label.later(clusters=2, noise=6)  # the third cluster's items are noise now
    assert ids_of(later) == ids_of(label)
    assert counts(write_back(publish(later))) == (0, 4, 4, 0, 0, 1)
    assert articles.clusters() == expected(later)
    assert [row[-1] for row in clusters(articles)] == [False, False, True]
    renamed = later.later(clusters=3, noise=2, text="Another label")
    assert counts(write_back(publish(renamed))) == (4, 0, 4, 0, 3, 0)  # and the third is back
    assert [row[3:] for row in clusters(articles)] == [("Another label", 4, False)] * 3


def test_a_superseded_run_writes_nothing(articles: News, label: Label) -> None:
    later = label.later(clusters=2, noise=6)
    write_back(publish(later))
    published = publish(label)
    assert published["superseded"]  # its task `publish` skips what follows; were it not so:
    assert counts(write_back(published)) == (0,) * 6
    assert articles.clusters() == expected(later)


def test_a_roll_back_is_followed(articles: News, label: Label) -> None:
    write_back(publish(label))
    write_back(publish(label.later(clusters=2, noise=6)))
    done = write_back(roll_back(LEVEL))
    assert counts(done) == (4, 0, 4, 0, 1, 0)
    assert articles.clusters() == expected(label)


def test_a_run_of_stage_3s_folder_writes_nothing(articles: News, label: Label) -> None:
    with pytest.raises(AirflowSkipException, match="Stage 3's folder"):
        write_back(publish(label, table=None))
    articles.install(articles=articles.listing(cluster_id=None))
    with pytest.raises(AirflowSkipException, match="no column for clusters"):
        write_back(publish(label.later()))


def test_a_table_that_is_listed_no_more_is_an_error(articles: News, label: Label) -> None:
    published = publish(label)
    articles.install(other=articles.listing())
    with pytest.raises(AirflowFailException, match="STAGE4_SOURCE_TABLES does not list"):
        write_back(published)


def test_a_table_that_is_gone_is_an_error(articles: News, label: Label) -> None:
    published = publish(label)
    articles.execute("DROP TABLE {table}")
    with pytest.raises(AirflowFailException, match="does not exist in database"):
        write_back(published)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("REVOKE CREATE ON SCHEMA news FROM {role}", 'GRANT CREATE ON SCHEMA "news" TO'),
        ("REVOKE UPDATE (cluster_id) ON {table} FROM {role}", 'GRANT UPDATE ."cluster_id".'),
        ("REVOKE SELECT ON {table} FROM {role}", "GRANT SELECT"),
    ],
)
def test_a_missing_right_changes_nothing_and_is_named(
    articles: News, label: Label, statement: str, message: str
) -> None:
    published = publish(label)
    articles.execute(statement)
    with pytest.raises(AirflowFailException, match=message):
        write_back(published)
    assert set(articles.clusters().values()) == {None}


def test_both_tables_change_together_or_not_at_all(articles: News, label: Label) -> None:
    articles.execute(
        "ALTER TABLE {table} ADD CONSTRAINT no_third CHECK (cluster_id NOT LIKE %s)".replace(
            "%s", "'%%2'"
        )
    )
    with pytest.raises(AirflowFailException, match="no_third"):
        write_back(publish(label))
    assert set(articles.clusters().values()) == {None}
    assert not replace(articles, table=CLUSTERS).execute(
        "SELECT to_regclass('news.\"story clusters\"') WHERE to_regclass('news.\"story clusters\"')"
        " IS NOT NULL"
    )


def test_ids_may_be_numbers(news: News, label: Label) -> None:
    news.create(id_type="bigint")
    news.install()
    numbers = {name: str(number) for number, name in enumerate(ids_of(label))}
    news.fill([*numbers.values()], scattered(len(numbers)), [{}] * len(numbers))
    done = write_back(publish(label, ids=numbers))
    assert done["rows_assigned"] == 12
    assert "clusters_inserted" not in done
    of_names = expected(label)
    assert news.clusters() == {int(numbers[name]): of_names[name] for name in numbers}


@pytest.mark.parametrize("kind", ["double precision", "real"])
def test_ids_that_are_fractions_find_their_rows(news: News, label: Label, kind: str) -> None:
    news.create(id_type=kind)
    news.install()
    news.execute("ALTER ROLE {role} SET extra_float_digits = 0")
    numbers = {name: str((number + 1) / 7) for number, name in enumerate(ids_of(label))}
    news.fill([*numbers.values()], scattered(len(numbers)), [{}] * len(numbers))
    with table_database(SourceTable.model_validate(news.listing())) as connection:
        rows = connection.execute("SELECT id::text FROM news.articles ORDER BY id").fetchall()
    read = dict(zip(numbers, (name for (name,) in rows), strict=True))
    done = write_back(publish(label, ids=read))
    assert (done["rows_assigned"], done["ids_without_row"]) == (12, 0)


def test_published_ids_without_a_row_are_counted(articles: News, label: Label) -> None:
    published = publish(label)
    assert write_back(published)["ids_without_row"] == 0
    articles.execute("DELETE FROM {table} WHERE id = ANY(%s)", ids_of(label)[:3])
    assert write_back(published)["ids_without_row"] == 3


def test_the_clusters_of_a_listing_that_was_renamed_end_like_its_own(
    articles: News, label: Label
) -> None:
    write_back(publish(label))
    own = replace(articles, table=CLUSTERS)
    own.execute(
        "INSERT INTO {table} SELECT 'theirs', 'other', level, label, size, keywords, centroid,"
        " job_id, updated_at, NULL FROM {table} LIMIT 1"
    )
    articles.install(renamed=articles.listing(clusters=list(CLUSTERS)))
    later = label.later(clusters=2, noise=6)
    assert counts(write_back(publish(later, table="renamed"))) == (0, 4, 4, 0, 2, 1)
    found = {(row[1], row[-1]) for row in clusters(articles)}
    assert found == {("renamed", False), ("articles", True), ("other", False)}


def test_a_listing_that_stays_keeps_its_clusters(articles: News, label: Label) -> None:
    write_back(publish(label))
    listing = articles.listing(clusters=list(CLUSTERS))
    articles.install(articles=listing, second=listing)
    later = label.later(clusters=2, noise=6)
    write_back(publish(later, table="second"))
    ended = [row[3:] for row in clusters(articles) if row[1] == "articles"]
    assert [row[-1] for row in ended] == [False], "the listing may be published again"


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        *((code, True) for code in ("42P10", "42501", "428C9", "22001", "23514", "25006", "0A000")),
        *((code, False) for code in ("40001", "40P01", "53300", "55P03", "57P01")),
    ],
)
def test_the_class_of_an_error_decides_whether_it_is_tried_again(
    articles: News, label: Label, code: str, stays: bool
) -> None:
    articles.execute(
        "CREATE FUNCTION news.fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
    )
    articles.execute(
        "CREATE TRIGGER fail BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION news.fail()"
    )
    with pytest.raises(AirflowException) as failed:
        write_back(publish(label))
    assert isinstance(failed.value, AirflowFailException) == stays, failed.value


def test_indexes_are_created_once(articles: News, label: Label) -> None:
    listing = articles.listing(clusters=list(CLUSTERS), indexes=True)
    articles.install(articles=listing)
    published = publish(label)
    with pytest.raises(AirflowFailException, match="must be owner of table articles"):
        write_back(published)
    assert articles.clusters() == expected(label)  # the assignments are there
    articles.execute("ALTER TABLE {table} OWNER TO {role}")
    names = ["articles_embedding_hnsw_cosine", "story clusters_centroid_hnsw_cosine"]
    assert write_back(published)["indexes_created"] == names
    assert write_back(published)["indexes_created"] == []
    definitions = articles.execute(
        "SELECT indexdef FROM pg_indexes WHERE indexname LIKE '%%hnsw_cosine' ORDER BY 1"
    )
    assert [("USING hnsw" in text, "vector_cosine_ops" in text) for (text,) in definitions] == [
        (True, True)
    ] * 2


@pytest.mark.parametrize("vector", ["vector", "halfvec", f"halfvec({DIMENSION})"])
def test_an_index_of_somebody_else_s_counts_and_a_broken_one_is_built_again(
    news: News, label: Label, vector: str
) -> None:
    news.create(vector)
    news.install(articles=news.listing(indexes=True))
    news.execute("ALTER TABLE {table} OWNER TO {role}")
    published = publish(label)
    [name] = write_back(published)["indexes_created"]
    news.execute("ALTER INDEX news.{name} RENAME TO theirs", name=name)
    assert write_back(published)["indexes_created"] == []
    news.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'news.theirs'::regclass"
    )
    assert write_back(published)["indexes_created"] == [name]
    assert news.execute("SELECT to_regclass('news.theirs')") == [(None,)]


def test_without_pgvector_centroids_are_arrays(news: News, label: Label) -> None:
    news.execute("DROP EXTENSION vector")
    news.create("real[]")
    news.install(articles=news.listing(clusters=list(CLUSTERS), indexes=True))
    ids = ids_of(label)
    news.fill(ids, scattered(len(ids)), [{}] * len(ids))
    done = write_back(publish(label))
    assert counts(done) == (12, 0, 12, 3, 0, 0)
    assert done["indexes_created"] == []
    [(kind,)] = replace(news, table=CLUSTERS).execute(
        "SELECT DISTINCT pg_typeof(centroid)::text FROM {table}"
    )
    assert kind == "real[]"


def test_a_table_of_clusters_with_other_columns_is_refused(articles: News, label: Label) -> None:
    own = replace(articles, table=CLUSTERS)
    own.execute("CREATE TABLE {table} (cluster_id text PRIMARY KEY)")
    own.execute("GRANT ALL ON {table} TO {role}")
    with pytest.raises(AirflowFailException, match="has no column source, level, label"):
        write_back(publish(label))


def test_two_at_a_time_end_with_what_is_published(
    articles: News, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holds the lock and has not yet read; meanwhile the second run is published."""
    first = publish(label)
    later = label.later(clusters=2, noise=6)
    meanwhile: list[threading.Thread] = []

    def ensure(*arguments: Any) -> Any:
        if not meanwhile:
            meanwhile.append(threading.Thread(target=write_back, args=[publish(later)]))
            meanwhile[0].start()
        return ensure_clusters(*arguments)

    monkeypatch.setattr(module, "ensure_clusters", ensure)
    assert write_back(first)["job_id"] == later.job_id
    meanwhile[0].join(60)
    assert articles.clusters() == expected(later)


def test_a_row_that_is_locked_too_long_is_tried_again(
    articles: News, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '100ms'")
    published = publish(label)
    with articles.connect() as other, other.transaction():
        other.execute("UPDATE news.articles SET title = 'x'")
        with pytest.raises(AirflowException, match="lock timeout") as error:
            write_back(published)
    assert not isinstance(error.value, AirflowFailException)
    assert counts(write_back(published))[2] == 12


def test_nothing_published_is_nothing_to_write(articles: News, results: Results) -> None:
    with pytest.raises(AirflowSkipException):
        write_back({"level": LEVEL})


def test_rights_to_the_table_of_clusters_are_looked_at_first(articles: News, label: Label) -> None:
    published = publish(label)
    write_back(published)
    own = replace(articles, table=CLUSTERS)
    own.execute("ALTER TABLE {table} OWNER TO postgres")
    own.execute("GRANT SELECT ON {table} TO {role}")
    name = {"database": articles.database}
    articles.execute("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC", **name)
    with pytest.raises(AirflowFailException) as error:
        write_back(published)
    role = f'"{articles.role}";'
    assert f'GRANT TEMPORARY ON DATABASE "{articles.database}" TO {role}' in str(error.value)
    assert f'GRANT INSERT, UPDATE ON "news"."story clusters" TO {role}' in str(error.value)
    own.execute("GRANT INSERT, UPDATE ON {table} TO {role}")
    articles.execute("GRANT TEMPORARY ON DATABASE {database} TO {role}", **name)
    assert counts(write_back(published)) == (0,) * 6


def test_a_deletion_is_followed_in_all_levels(articles: News, label: Label) -> None:
    with pytest.raises(AirflowSkipException):
        write_back_all()
    write_back(publish(label))
    publish(label.later(clusters=2, noise=5))  # a document less
    assert {level: counts(done) for level, done in write_back_all().items()} == {
        LEVEL: (0, 4, 4, 0, 0, 1)
    }
    own = replace(articles, table=CLUSTERS)
    said = own.execute(
        "SELECT label, keywords, centroid IS NULL FROM {table} WHERE ended_at IS NOT NULL"
    )
    assert said == [("", [], True)]
    assert write_back_all()[LEVEL]["clusters_erased"] == 0
    back = write_back(publish(label.later(as_of=label.as_of + timedelta(hours=2))))
    assert counts(back) == (4, 0, 4, 0, 1, 0)
    assert label.text in {row[3] for row in clusters(articles)}


def test_names_with_quotes_dots_and_blanks_are_names(news: News, label: Label) -> None:
    odd = replace(news, table=('ne"ws; DROP', "arti.cles %s " + "x" * 50))
    column, vector = 'clus"ter; %s {x}', 'em""bed %d'
    odd.create("vector")
    for name, new in (("cluster_id", column), ("embedding", vector), ("id", "i'd")):
        odd.execute("ALTER TABLE {table} RENAME COLUMN {name} TO {new}", name=name, new=new)
    odd.execute("ALTER TABLE {table} OWNER TO {role}")
    names = {"id": "i'd", "vector": vector, "cluster_id": column}
    clusters_table = [odd.table[0], "clu'sters %s"]
    odd.install(articles=odd.listing(**names, clusters=clusters_table, indexes=True))
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})")
    with odd.connect() as connection:
        for name in ids_of(label):
            parts = (sql.Identifier(*odd.table), sql.Identifier("i'd"), sql.Literal(name))
            connection.execute(insert.format(*parts))
    done = write_back(publish(label))
    assert counts(done) == (12, 0, 12, 3, 0, 0)
    assert [len(name.encode()) <= 63 for name in done["indexes_created"]] == [True, True]
    assert write_back({"level": LEVEL})["indexes_created"] == []
    found = odd.execute("SELECT count({column}) FROM {table}", column=column)
    assert found == [(12,)]
