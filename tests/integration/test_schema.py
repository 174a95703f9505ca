"""What readers ask of a loaded run, and that the indexes made for it answer."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException
from psycopg.sql import SQL, Literal

from clustering_tasks.contract.columns import COLUMNS
from stage4.database import partitions, schema
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from tests.integration.conftest import Results
from tests.integration.label_files import Label, csv_line, report_of

# Of the parser of to_tsvector: compounds, URLs, tags, numbers, letters of four bytes, no blanks.
HOSTILE = [
    "a_" * 100_000,
    "~/" * 100_000,
    "a-" * 100_000,
    "http://a.b/c?d=e&" * 10_000,
    " ".join(f"{chr(0x4E00 + i % 20_000)}-{chr(0x20000 + i % 40_000)}" for i in range(100_000)),
    " ".join(str(number) for number in range(200_000)),
    "İ ß ﬁ " * 50_000,
    "' & | ! <-> :* \\ (",
    "x" * 1_000_000,
    "",
]


def load(label: dict[str, Any]) -> int:
    load_id: int = load_run(label["files"], report_of(label))["load_id"]
    return load_id


def rewrite_clusters(files: dict[str, Any], made: Label, /, **columns: Any) -> None:
    """Write the file of clusters again, with a value of each column for each cluster."""
    rows = list(made.cluster_rows())
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    names = COLUMNS["clusters"]
    lines = [csv_line(names), *(csv_line(map(row.get, names)) for row in rows)]
    Path(files["files"]["clusters_csv"]).write_text("".join(lines), "utf-8", newline="")


def found(results: Results, load_id: int, query: str) -> list[str]:
    rows = results.rows(
        "SELECT cluster_id FROM stage4.clusters"
        " WHERE load_id = %s AND search @@ websearch_to_tsquery(%s, %s) ORDER BY ts_rank(search,"
        " websearch_to_tsquery(%s, %s)) DESC",
        load_id,
        *[schema.SEARCH_CONFIGURATION, query] * 2,
        user=results.loader,
    )
    return [name for (name,) in rows]


def test_the_words_of_label_keywords_and_entities_are_found(
    results: Results, tmp_path: Path
) -> None:
    made = Label(tmp_path, clusters=3)
    label = made.write()
    rewrite_clusters(
        label,
        made,
        label=["Trzęsienie ziemi w Turcji", "The Who: a concert", "IT-Ausfall"],
        keywords=map(orjson.dumps, [["ziemi", "rescue team"], ["turcji"], ["日本語"]]),
        primary_entities=map(orjson.dumps, [[], ["Roger Daltrey", None, 7], ["CrowdStrike"]]),
    )
    load_id = load(label)
    first, second, third = (f"event_{number:012x}" for number in range(3))
    # The label weighs more than keywords.
    assert found(results, load_id, "turcji") == [first, second]
    assert found(results, load_id, "the who") == [second]  # no stop words
    assert found(results, load_id, "it") == [third]
    assert found(results, load_id, "日本語") == [third]
    assert found(results, load_id, '"rescue team"') == [first]
    assert found(results, load_id, "daltrey -crowdstrike") == [second]
    assert found(results, load_id, "rescues") == []


def test_hostile_texts_of_any_size_are_loaded(results: Results, tmp_path: Path) -> None:
    made = Label(tmp_path, clusters=len(HOSTILE))
    label = made.write()
    lists = [[text, *(text[i : i + 300] for i in range(0, 90_000, 300))] for text in HOSTILE]
    rewrite_clusters(
        label,
        made,
        label=HOSTILE,
        keywords=map(orjson.dumps, lists),
        primary_entities=[orjson.dumps(["needle", *texts]) for texts in lists],
    )
    load_id = load(label)
    assert len(found(results, load_id, "needle")) == len(HOSTILE)
    sizes = results.rows("SELECT max(length(search)) FROM stage4.clusters", user=results.loader)
    assert sizes[0][0] > 1000


@pytest.mark.parametrize("keywords", ["{}", "7"])
def test_keywords_that_are_no_list_are_refused(
    results: Results, tmp_path: Path, keywords: str
) -> None:
    made = Label(tmp_path, clusters=1)
    label = made.write()
    rewrite_clusters(label, made, keywords=[keywords])
    with pytest.raises(AirflowFailException, match="cannot extract elements"):
        load(label)


READS = [
    ("clusters", "TRUE ORDER BY size DESC, cluster_id LIMIT 2", "size_cluster_id"),
    ("clusters", "(size, cluster_id) = (4, 'x') ORDER BY size DESC, cluster_id", "size_cluster_id"),
    ("clusters", "start_time <= now() AND end_time >= '2025-01-01'", "start_time"),
    ("clusters", "TRUE ORDER BY growth DESC NULLS LAST, cluster_id LIMIT 2", "growth_cluster_id"),
    ("clusters", "search @@ 'summit'", "search"),
    ("clusters", """keywords @> '["summit"]'""", "keywords"),
    ("clusters", """document_ids @> '["doc_001"]'""", "document_ids"),
    ("clusters", """tags @> '[{{"tag": "war"}}]'""", "tags"),
    ("clusters", "cluster_id = 'event_1' AND load_id = {run}", "pkey"),
    ("members", "vector_id = 'a' AND load_id = {run}", "pkey"),
    ("members", "source_id = 'doc_0000001'", "source_id"),
    ("members", "document_id = 'doc_0000001'", "document_id"),
    (
        "members",
        "cluster_id = 'a' ORDER BY probability DESC NULLS LAST, vector_id LIMIT 5",
        "cluster_id_probability",
    ),
]


@pytest.mark.parametrize(("parent", "condition", "index"), READS)
def test_a_read_is_answered_by_its_index(
    results: Results, tmp_path: Path, parent: str, condition: str, index: str
) -> None:
    load_id = load(Label(tmp_path, clusters=300, size=2).write())
    query = SQL("EXPLAIN SELECT * FROM {} WHERE {}")
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("SET enable_seqscan = off")
        rows = connection.execute(
            query.format(schema.partition(parent, load_id), SQL(condition).format(run=load_id))
        ).fetchall()
    plan = "\n".join(line for (line,) in rows)
    assert f"{parent}_{load_id}_{index}" in plan
    assert "Sort" not in plan


def test_the_nearest_clusters_are_found_by_the_graph(results: Results, tmp_path: Path) -> None:
    made = Label(tmp_path, clusters=300, dimension=32)
    label = made.write()
    random = np.random.default_rng(0)
    vectors = random.normal(size=(300, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rewrite_clusters(label, made, centroid=map(orjson.dumps, vectors.tolist()))
    load_id = load(label)
    query = SQL(
        "SELECT cluster_id, 1 - ({centroid} <=> {vector}) FROM {table}"
        " ORDER BY {centroid} <=> {vector} LIMIT 5"
    ).format(
        centroid=schema.centroid(32),
        vector=schema.vector(32),
        table=schema.partition("clusters", load_id),
    )
    hits = 0
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("SET enable_seqscan = off")
        value = {"vector": str(vectors[7].tolist())}
        plan = str(connection.execute(SQL("EXPLAIN ") + query, value).fetchall())
        assert f"Index Scan using clusters_{load_id}_neighbours" in plan
        for vector in vectors[:50]:
            rows = connection.execute(query, {"vector": str(vector.tolist())}).fetchall()
            expected = np.argsort(-(vectors @ vector))[:5]
            hits += len({f"event_{n:012x}" for n in expected} & {name for name, _ in rows})
            # half precision: 11 bits
            assert rows[0][1] == pytest.approx(1, abs=1e-3)
    assert hits >= 245


def test_centroids_too_long_for_a_graph_are_compared_one_by_one(
    results: Results, tmp_path: Path
) -> None:
    load_id = load(Label(tmp_path, clusters=2, dimension=4001).write())
    query = SQL("SELECT cluster_id FROM {} ORDER BY {} <=> {}").format(
        schema.partition("clusters", load_id), schema.centroid(4001), schema.vector(4001)
    )
    with results.server.connect(results.database, results.loader) as connection:
        vector = str([1.0] * 4001)
        assert len(connection.execute(query, {"vector": vector}).fetchall()) == 2


def test_a_graph_too_large_to_share_is_built_by_one_process(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_SHARED_MEMORY", 1)
    monkeypatch.setattr(partitions, "_MOST_GRAPH_MEMORY", 1024)
    load_id = load(Label(tmp_path, clusters=500, dimension=768).write())
    indexes = results.rows(
        "SELECT count(*) FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%hnsw%%'",
        f"clusters_{load_id}",
    )
    assert indexes == [(1,)]


def test_alerts_go_with_their_run(results: Results, tmp_path: Path) -> None:
    load_id = load(Label(tmp_path).write())
    insert = SQL(
        "INSERT INTO stage4.alerts (load_id, level, name, severity, message, action)"
        " VALUES ({}, {}, 'silhouette', {}, 'is low', 'look')"
    )
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute(insert.format(load_id, "events", "warning"))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(insert.format(load_id, "events", "bad"))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(insert.format(load_id, "entities", "info"))
        connection.execute(
            SQL("DELETE FROM stage4.runs WHERE load_id = {}").format(Literal(load_id))
        )
        assert connection.execute("SELECT count(*) FROM stage4.alerts").fetchone() == (0,)


def test_every_move_of_the_pointer_is_kept(results: Results, tmp_path: Path) -> None:
    first = Label(tmp_path)
    runs = [load(first.write()), load(first.later().write())]
    for load_id in (*runs, runs[1]):  # publishing again moves nothing
        with locked_pointer("events") as pointer:
            pointer.move(load_id)
    history = "SELECT level, load_id, act FROM stage4.publications ORDER BY publication_id"
    assert results.rows(history, user=results.loader) == [
        ("events", load_id, "publish") for load_id in runs
    ]
