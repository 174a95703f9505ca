"""Loading into a real PostgreSQL: what arrives, what is refused, and what a failure leaves."""

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from structlog.testing import capture_logs

from clustering_tasks.contract.columns import COLUMNS
from clustering_tasks.settings.levels import LEVELS
from stage4.database import partitions
from stage4.database.connection import database
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.label_files import Label, report_of

HOSTILE = [
    """quotes " and ' and ""two"" and $$dollars$$""",
    "lines\nand\r\nreturns\rand\ttabs",
    r"escapes \n \. \N \\ %s %(name)s {braces}",
    "\\.\n\\N\n",
    "'); DROP TABLE stage4.runs; --",
    "Zażółć 日本語 🗞 \u202e right to left \u0085",
    "NULL",
    "",
    ",",
]


def load(label: dict[str, Any]) -> dict[str, Any]:
    return load_run(label["files"], report_of(label))


def publish(label: dict[str, Any]) -> None:
    report = report_of(label)
    with locked_pointer(report.level) as pointer:
        pointer.move(pointer.find(report.job_id))


def load_and_publish(label: dict[str, Any]) -> None:
    load(label)
    publish(label)


def assert_empty(results: Results) -> None:
    assert results.rows("SELECT count(*) FROM stage4.runs", user=results.loader) == [(0,)]
    assert results.rows("SELECT count(*) FROM stage4.metrics", user=results.loader) == [(0,)]
    assert results.tables() == set()


def edit(label: dict[str, Any], file: str, change: Callable[[bytes], bytes]) -> None:
    path = Path(label["files"][file])
    path.write_bytes(change(path.read_bytes()))


def replacing(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


def test_loaded_rows_are_seen_once_published(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path, unassigned=1).write()
    loaded = load(label)
    assert (loaded["clusters"], loaded["members"]) == (3, 16)
    assert results.rows("SELECT * FROM stage4.current_members") == []

    publish(label)
    assert results.rows(
        "SELECT level, job_id, as_of, read, clustered, noise, filtered, unassigned, clusters"
        " FROM stage4.current_runs"
    ) == [("events", "cluster_events.manual__1", Label(tmp_path).as_of, 16, 12, 2, 1, 1, 3)]
    assert results.rows(
        "SELECT level, cluster_id, count(*), min(status), min(source_id), min(metadata->>'mark')"
        " FROM stage4.current_members WHERE cluster_id = 'event_000000000001' GROUP BY 1, 2"
    ) == [("events", "event_000000000001", 4, "clustered", "doc_0000004", "first")]
    assert results.rows(
        "SELECT count(*) FROM stage4.current_members WHERE cluster_id IS NULL AND assignment IS"
        " NULL AND occurred_at IS NULL AND document_id IS NULL"
    ) == [(4,)]
    assert results.rows(
        "SELECT label, size, keywords->>0, end_time, centroid <=> '[1,0,0,0]', record->>'mark'"
        " FROM stage4.current_clusters WHERE start_time = '2025-12-10 00:00:00+00' LIMIT 1"
    ) == [("Leaders meet in Hiroshima", 4, "summit", None, 0.0, "first")]


def test_outliers_that_are_kept_apart_and_members_by_policy_are_loaded(
    results: Results, tmp_path: Path
) -> None:
    label = Label(tmp_path).write()
    edit(label, "members_csv", replacing(b'"noise",,', b'"noise","individual",'))
    edit(label, "members_csv", replacing(b'"clustered","core",', b'"clustered","nearest",'))
    load_and_publish(label)
    assert results.rows(
        "SELECT status, assignment, count(*) FROM stage4.current_members"
        " WHERE assignment <> 'core' GROUP BY 1, 2 ORDER BY 1"
    ) == [("clustered", "nearest", 1), ("noise", "individual", 1)]


@pytest.mark.parametrize(
    ("status", "assignment"),
    [("clustered", "individual"), ("noise", "core"), ("noise", "nearest"), ("noise", "adopted")],
)
def test_an_assignment_that_its_status_cannot_have_is_refused(
    results: Results, tmp_path: Path, status: str, assignment: str
) -> None:
    label = Label(tmp_path).write()
    before = '"core"' if status == "clustered" else ""
    old, new = f'"{status}",{before},', f'"{status}","{assignment}",'
    edit(label, "members_csv", replacing(old.encode(), new.encode()))
    with pytest.raises(AirflowFailException, match="assignment_fits_status"):
        load(label)
    assert_empty(results)


def test_metrics_keep_what_was_not_measured_as_null(results: Results, tmp_path: Path) -> None:
    load(Label(tmp_path, clusters=0, noise=0, filtered=0).write())
    rows = results.rows("SELECT level, name, value FROM stage4.metrics", user=results.loader)
    metrics = {name: value for _, name, value in rows}
    assert {level for level, *_ in rows} == {"events"}
    assert metrics["quality.silhouette"] == 0.2
    assert metrics["quality.davies_bouldin"] is None
    assert metrics["coverage"] is None
    assert metrics["counts.clusters"] == 0
    assert metrics["seconds.snapshot"] == 1.5
    assert metrics["sizes.max"] == 4
    assert not any("histogram" in name for name in metrics)
    assert not any(name.startswith(("settings", "job_id", "as_of")) for name in metrics)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_arrives_as_it_is(results: Results, tmp_path: Path, text: str) -> None:
    label = Label(tmp_path, text=text, job_id="cluster_events.it's;--_1").write()
    load(label)
    publish(label)
    rows = results.rows(
        "SELECT DISTINCT label, keywords->>1, metadata->>'title', job_id FROM"
        " stage4.current_clusters c JOIN stage4.current_members m USING (load_id, cluster_id)"
        " JOIN stage4.current_runs USING (load_id)"
    )
    assert rows == [(text, text, text, "cluster_events.it's;--_1")]


def test_loading_again_replaces_what_is_not_published(results: Results, tmp_path: Path) -> None:
    first = load(Label(tmp_path).write())["load_id"]
    second = load(Label(tmp_path, clusters=5, mark="second").write())["load_id"]
    assert second > first
    assert results.tables() == {f"clusters_{second}", f"members_{second}"}
    query = "SELECT load_id, clusters FROM stage4.runs"
    assert results.rows(query, user=results.loader) == [(second, 5)]


def test_loading_a_published_run_again_shows_the_old_rows_until_the_pointer_moves(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = "SELECT DISTINCT metadata->>'mark' FROM stage4.current_members"
    publish_first = Label(tmp_path).write()
    first = load(publish_first)["load_id"]
    publish(publish_first)
    label = Label(tmp_path, mark="second").write()
    load(label)
    second = load(label)["load_id"]
    assert results.rows(marks) == [("first",)]
    assert results.tables() == {
        *(f"clusters_{first}", f"members_{first}"),
        *(f"clusters_{second}", f"members_{second}"),
    }
    publish(label)
    assert results.rows(marks) == [("second",)]
    assert f"members_{first}" in results.tables()  # a reader may be on its way to them
    monkeypatch.setattr("stage4.database.pointer.GRACE", "0")
    publish(label)
    assert results.rows(marks) == [("second",)]
    assert results.tables() == {f"clusters_{second}", f"members_{second}"}


def test_runs_stay_beside_each_other(results: Results, tmp_path: Path) -> None:
    one = Label(tmp_path)
    for label in (one, one.later(), replace(one, level="entities", mark="other")):
        files = label.write()
        load(files)
        publish(files)
    assert len(results.tables()) == 6
    assert results.rows("SELECT level, job_id FROM stage4.current_runs ORDER BY level") == [
        ("entities", "cluster_events.manual__1"),
        ("events", "cluster_events.manual__2"),
    ]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("members_csv", replacing(b"event_000000000001", b"event_00000000000x"), "members that"),
        ("members_csv", lambda c: c[: c.rstrip().rfind(b"\n") + 1], "read: 14 in the files, 15 in"),
        ("members_csv", lambda c: c[:-10], "in COPY members_1, line 16"),
        ("members_csv", replacing(b"doc_0000001", b"doc_0000002"), "is duplicated"),
        ("members_csv", replacing(b'"noise"', b'"nosie"'), "status"),
        ("members_csv", replacing(b'"noise"', b'"clustered"'), "clustered_means_in_a_cluster"),
        ("members_csv", replacing(b"vector_id", b"id"), "column name mismatch"),
        ("members_csv", replacing(b"Leaders", b"\0"), "invalid byte sequence"),
        ("members_csv", replacing(b"Leaders", b"\xff"), "invalid byte sequence"),
        ("members_csv", replacing(b"Leaders", b"\\u0000"), "Unicode escape"),
        ("members_csv", replacing(b'""mark""', b"mark"), "type json"),
        ("clusters_csv", replacing(b"event_000000000001", b"event_000000000000"), "duplicated"),
        ("clusters_csv", replacing(b'"4"', b'"5"'), "event_000000000000: size 5, 4 members"),
        ("clusters_csv", replacing(b'"4"', b'"1"'), "size"),
        ("clusters_csv", replacing(b"[1.0,", b"["), "one_dimension"),
        ("clusters_csv", replacing(b"[1.0,", b"[NaN,"), "NaN"),
        ("clusters_csv", replacing(b"2025-12-10", b"2025-13-10"), "out of range"),
        ("clusters_csv", lambda _: b"", "got 1, expected 22"),
    ],
)
def test_files_that_break_their_contract_are_refused(
    results: Results,
    tmp_path: Path,
    file: str,
    change: Callable[[bytes], bytes],
    message: str,
) -> None:
    label = Label(tmp_path).write()
    edit(label, file, change)
    with pytest.raises(AirflowFailException, match=message) as failure:
        load(label)
    assert "clear `label`" in str(failure.value)
    assert "Hiroshima" not in str(failure.value)  # no text of an item in a log (SE-2)
    assert failure.value.__suppress_context__ or failure.value.__context__ is None
    assert_empty(results)


def test_an_orphan_is_refused_by_the_foreign_key(results: Results, tmp_path: Path) -> None:
    """Every count and every size agrees, but a member's cluster does not exist."""
    label = Label(tmp_path, clusters=1, noise=1, filtered=0).write()
    edit(label, "members_csv", replacing(b',,"noise"', b',"event_x","clustered"'))
    edit(label, "report", replacing(b'"clustered":4,"noise":1', b'"clustered":5,"noise":0'))
    with pytest.raises(AirflowFailException, match=r"=\(1, event_x\) is not present"):
        load(label)
    assert_empty(results)


def test_files_that_are_gone_are_named(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path).write()
    Path(label["files"]["members_csv"]).unlink()
    with pytest.raises(AirflowFailException, match=r"members\.csv is gone: clear `label`"):
        load(label)
    assert_empty(results)


def test_a_connection_lost_in_the_middle_leaves_nothing(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path).write()
    members = Path(label["files"]["members_csv"])
    content = members.read_bytes()
    members.unlink()
    os.mkfifo(members)
    with ThreadPoolExecutor(1) as pool:
        failure = pool.submit(load, label)
        with members.open("wb") as pipe:
            pipe.write(content[:300])
            pipe.flush()
            terminate_loader(results)
        with pytest.raises(AirflowException, match="terminating connection") as raised:
            failure.result(timeout=30)
    assert not isinstance(raised.value, AirflowFailException)
    assert_empty(results)

    members.unlink()
    members.write_bytes(content)
    load(label)
    assert len(results.tables()) == 2


def terminate_loader(results: Results) -> None:
    """End the loader's connection as soon as it copies members."""
    deadline = time.monotonic() + 20
    with results.server.connect() as superuser:
        while time.monotonic() < deadline:
            killed = superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND query LIKE 'COPY%%members%%'",
                [results.database],
            ).fetchall()
            if killed:
                return
            time.sleep(0.02)
    pytest.fail("no COPY was seen within 20 s")


def test_readers_never_see_half_a_run(results: Results, tmp_path: Path) -> None:
    """Four readers in a loop while 20 runs are loaded and published."""
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read_until, results, done) for _ in range(4)]
        label = Label(tmp_path, clusters=20, size=10)
        try:
            for number in range(20):
                label = label.later(mark=str(number), noise=number, clusters=20 + number)
                files = label.write()
                load(files)
                publish(files)
                if number % 3 == 0:  # loaded again while it is what they read
                    load(files)
                    publish(files)
        finally:
            done.set()
        seen = [reader.result(timeout=60) for reader in readers]
    reads = sum(count for count, _, _ in seen)
    print(f"{reads} reads, the slowest {max(slowest for *_, slowest in seen) * 1000:.0f} ms")  # noqa: T201
    assert reads > 100
    assert all(len(runs) > 10 for _, runs, _ in seen)


def read_until(results: Results, done: threading.Event) -> tuple[int, set[str], float]:
    """Read all of the published run again and again; each answer must be one whole run."""
    query = """
        SELECT run.job_id, run.read, run.clusters, run.noise::text,
            (SELECT array_agg(DISTINCT record->>'mark') FROM stage4.current_clusters),
            (SELECT array_agg(DISTINCT metadata->>'mark') FROM stage4.current_members),
            (SELECT count(*) FROM stage4.current_clusters WHERE level = 'events'),
            (SELECT count(*) FROM stage4.current_members),
            (SELECT count(*) FROM stage4.current_members m
                JOIN stage4.current_clusters c USING (load_id, cluster_id))
        FROM stage4.current_runs run WHERE level = 'events'
    """
    reads, runs, slowest = 0, set(), 0.0
    with results.server.connect(results.database, results.reader) as connection:
        while not done.is_set():
            started = time.perf_counter()
            rows = connection.execute(query).fetchall()
            slowest = max(slowest, time.perf_counter() - started)
            reads += 1
            for job, read, clusters, mark, in_clusters, in_members, n, m, joined in rows:
                assert in_clusters == in_members == [mark]
                assert (n, m, joined) == (clusters, read, clusters * 10)
                runs.add(job)
            assert rows or not runs  # published once, always published
    return reads, runs, slowest


def test_a_statement_that_is_planned_during_a_load_does_not_miss_the_rows(
    results: Results, tmp_path: Path
) -> None:
    """A lock on an old partition of `members` stops the planner after it has read `clusters`."""
    label = Label(tmp_path).write()
    first = load(label)["load_id"]
    publish(label)
    later = Label(tmp_path).later(mark="second").write()
    query = (
        "SELECT DISTINCT c.record->>'mark', m.metadata->>'mark' FROM stage4.current_clusters c"
        " FULL JOIN stage4.current_members m USING (load_id, cluster_id) WHERE m.cluster_id <> ''"
    )
    with ThreadPoolExecutor(2) as pool, results.server.connect(results.database) as blocker:
        with blocker.transaction():
            blocker.execute(f"LOCK TABLE stage4.members_{first} IN ACCESS EXCLUSIVE MODE")
            reader = pool.submit(results.rows, query)
            wait_until_blocked(blocker)
            loading = pool.submit(load_and_publish, later)
            with pytest.raises(TimeoutError):
                loading.result(timeout=1)
        loading.result(timeout=20)
        assert reader.result(timeout=20) in ([("first", "first")], [("second", "second")])


def wait_until_blocked(superuser: psycopg.Connection) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if superuser.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
            return
        time.sleep(0.02)
    pytest.fail("the reader did not reach the lock within 20 s")


def test_loads_at_the_same_time_do_not_disturb_each_other(results: Results, tmp_path: Path) -> None:
    """The four levels, and one job twice, as when a try given up for dead is still at work."""
    labels = [Label(tmp_path / level, level=level, clusters=50) for level in LEVELS]
    files = [label.write() for label in [*labels, labels[0]]]
    with ThreadPoolExecutor(len(files)) as pool:
        loaded = list(pool.map(load, files))
    for label in files[:4]:
        publish(label)
    assert len({one["load_id"] for one in loaded}) == 5
    assert len(results.tables()) == 8
    assert results.rows(
        "SELECT level, count(*) FROM stage4.current_clusters GROUP BY level ORDER BY level"
    ) == [(level, 50) for level in sorted(LEVELS)]


def test_a_reader_that_stays_holds_up_neither_load_nor_publication(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "SWEEP_TIMEOUT", "100ms")
    monkeypatch.setattr(partitions, "READERS_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr("stage4.database.pointer.GRACE", "0")
    label = Label(tmp_path).write()
    first = load(label)["load_id"]
    publish(label)
    with results.server.connect(results.database, results.reader) as reader, capture_logs() as logs:
        reader.autocommit = False
        assert reader.execute("SELECT * FROM stage4.current_members").fetchall()
        second = load(label)["load_id"]
        publish(label)
        assert "still being read" in logs[-1]["event"]
        assert f"members_{first}" in results.tables()
        assert results.rows("SELECT DISTINCT load_id FROM stage4.current_members") == [(second,)]
    with database() as connection:
        partitions.sweep(connection)
    assert results.tables() == {f"clusters_{second}", f"members_{second}"}


def test_a_map_is_loaded_and_dropped_with_its_run(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stage4.database.pointer.GRACE", "0")
    label = Label(tmp_path).write()
    points = tmp_path / "points.csv"
    points.write_text(
        '"rank","kind","cluster_id","vector_id","x","y","size"\n'
        '0,"cluster","event_000000000000",,0.5,-0.25,4\n'
        '1,"member","event_000000000000","event_doc_0000001",0.51,-0.26,\n'
    )
    label["files"]["points_csv"] = str(points)
    first = load(label)["load_id"]
    rows = results.rows("SELECT * FROM stage4.points ORDER BY rank", user=results.loader)
    assert rows == [
        (first, 0, "cluster", "event_000000000000", None, 0.5, -0.25, 4),
        (first, 1, "member", "event_000000000000", "event_doc_0000001", 0.51, -0.26, None),
    ]
    del label["files"]["points_csv"]
    second = load(label)["load_id"]
    assert results.tables() == {f"clusters_{second}", f"members_{second}"}


def test_a_view_reads_the_published_partition_only(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path)
    for _ in range(3):
        label = label.later()
        files = label.write()
        load_id = load(files)["load_id"]
        publish(files)
    plan = results.rows(
        "EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM stage4.current_members WHERE level = 'events'",
        user=results.loader,
    )
    text = "\n".join(line for (line,) in plan)
    assert text.count("never executed") == 2
    assert f"on members_{load_id} (actual" in text


def test_the_roles_can_do_their_work_and_nothing_else(results: Results, tmp_path: Path) -> None:
    load(Label(tmp_path).write())
    for statement in ("SELECT * FROM stage4.members", "DELETE FROM stage4.runs RETURNING 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            results.rows(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        results.rows("CREATE SCHEMA other", user=results.loader)


@pytest.mark.parametrize("form", ["json", "uri", "dictcursor"])
def test_every_form_of_the_airflow_connection_works(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    connection = results.server.airflow_connection(results.database, results.loader)
    socket = quote(connection["host"], safe="")
    forms = {
        "dictcursor": json.dumps(connection | {"extra": {"cursor": "dictcursor"}}),
        "uri": f"postgresql://{results.loader}@{socket}:5432/{results.database}",
    }
    monkeypatch.setenv(CONNECTION_VARIABLE, forms.get(form, json.dumps(connection)))
    label = Label(tmp_path).write()
    load(label)
    publish(label)
    assert results.rows("SELECT count(*) FROM stage4.current_members") == [(15,)]


def test_a_database_that_is_down_is_worth_another_try(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = results.server.airflow_connection(results.database, results.loader)
    monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(connection | {"port": 1}))
    with pytest.raises(AirflowException, match="stage4_postgres") as failure:
        load(Label(tmp_path).write())
    assert not isinstance(failure.value, AirflowFailException)


def test_a_missing_airflow_connection_says_how_to_define_it(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONNECTION_VARIABLE)
    with pytest.raises(AirflowFailException, match=CONNECTION_VARIABLE):
        load(Label(tmp_path).write())


def test_a_missing_schema_says_what_to_run(results: Results, tmp_path: Path) -> None:
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("DROP SCHEMA stage4 CASCADE")
    with pytest.raises(AirflowFailException, match=r"python -m stage4\.setup"):
        load(Label(tmp_path).write())


def test_a_role_without_rights_is_told_which_to_use(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = results.server.airflow_connection(results.database, results.reader)
    monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(connection))
    with pytest.raises(AirflowFailException, match="role that ran"):
        load(Label(tmp_path).write())


def test_columns_of_the_files_are_those_of_the_tables(results: Results) -> None:
    for parent, columns in COLUMNS.items():
        found = results.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 1"
            " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            f"stage4.{parent}",
            user=results.loader,
        )
        names = [name for (name,) in found]
        assert sorted(names) == sorted(columns)


def test_the_time_of_a_large_load(results: Results, tmp_path: Path) -> None:
    """200,000 members in 4,000 clusters of 768 dimensions; printed, not asserted."""
    label = Label(tmp_path, clusters=4_000, size=45, noise=20_000, dimension=768).write()
    loaded = load(label)
    publish(label)
    started = time.perf_counter()
    assert results.rows("SELECT count(*) FROM stage4.current_members") == [(200_001,)]
    print(f"200k members: {loaded['seconds']} s; counted in {time.perf_counter() - started:.2f} s")  # noqa: T201
