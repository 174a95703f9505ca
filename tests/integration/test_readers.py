"""Readers that follow the pointer to a run's own tables, while runs come and go."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import UndefinedTable
from psycopg.sql import SQL

from stage4.database import schema
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from tests.integration.conftest import Results
from tests.integration.label_files import DIMENSION, Label, report_of

RUNS, READERS, SIZE = 20, 3, 10

_POINTER = """
SELECT load_id, read, clusters, noise FROM stage4.published JOIN stage4.runs USING (level, load_id)
WHERE level = 'events'
"""
_CLUSTERS = "SELECT count(*), sum(size), array_agg(DISTINCT record->>'mark') FROM {}"
_MEMBERS = """
SELECT count(*), count(cluster_id), count(*) FILTER (WHERE status = 'noise'),
    array_agg(DISTINCT metadata->>'mark')
FROM {}
"""
_NEAREST = "SELECT cluster_id FROM {} ORDER BY {} <=> {} LIMIT 1000"


@dataclass
class Seen:
    """What a reader has seen.

    Attributes:
        whole: runs that were read to the end.
        gone: how often a run was dropped between the look at the pointer and the look at it.
    """

    whole: list[int] = field(default_factory=list)
    gone: int = 0


def read_until(results: Results, done: threading.Event) -> Seen:
    """Read the published run again and again, each statement on its own."""
    seen = Seen()
    with results.server.connect(results.database, results.loader) as connection:
        while not done.is_set():
            row = connection.execute(_POINTER).fetchone()
            if row is None:
                assert not seen.whole  # published once, always published
                continue
            try:
                check_run(connection, *row)
            except UndefinedTable:
                seen.gone += 1
                assert connection.execute(_POINTER).fetchone() != row  # never the published one
            else:
                seen.whole.append(row[0])
    return seen


def check_run(connection: psycopg.Connection, load_id: int, read: int, n: int, noise: int) -> None:
    """Compare a run's tables with the counts of the run itself."""
    clusters, members = (schema.partition(name, load_id) for name in ("clusters", "members"))
    mark = f"{n},{noise}"
    found = connection.execute(SQL(_CLUSTERS).format(clusters)).fetchone()
    assert found == (n, n * SIZE, [mark])
    found = connection.execute(SQL(_MEMBERS).format(members)).fetchone()
    assert found == (read, n * SIZE, noise, [mark])
    nearest = SQL(_NEAREST).format(clusters, schema.centroid(DIMENSION), schema.vector(DIMENSION))
    assert len(connection.execute(nearest, {"vector": "[1,0,0,0]"}).fetchall()) == n


def load_and_publish(files: dict[str, Any]) -> int:
    report = report_of(files)
    load_id: int = load_run(files["files"], report)["load_id"]
    with locked_pointer(report.level) as pointer:
        pointer.move(pointer.find(report.job_id))
    return load_id


@pytest.mark.parametrize("grace", ["1 minute", "0"], ids=["kept a while", "dropped at once"])
def test_a_reader_of_the_tables_never_sees_half_a_run(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grace: str
) -> None:
    """20 runs are published; every second one is loaded again while it is what readers see."""
    monkeypatch.setattr("stage4.database.pointer.GRACE", grace)
    done, label, published = threading.Event(), Label(tmp_path, size=SIZE), list[int]()
    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read_until, results, done) for _ in range(READERS)]
        try:
            for number in range(RUNS):
                label = label.later(
                    clusters=20 + number, noise=number, mark=f"{20 + number},{number}"
                )
                files = label.write()
                published += [load_and_publish(files) for _ in range(1 + number % 2)]
        finally:
            done.set()
        seen = [reader.result(timeout=60) for reader in readers]
    assert len(published) == 30
    for each in seen:
        assert each.whole == sorted(each.whole)  # the pointer never went back
        assert set(each.whole) <= set(published)
        assert len(set(each.whole)) > 10
        if grace == "1 minute":
            assert each.gone == 0
    kept = results.rows("SELECT count(*) FROM stage4.runs", user=results.loader)
    assert kept == [(RUNS if grace == "0" else 30,)]
