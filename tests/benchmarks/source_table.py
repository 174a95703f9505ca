"""A table of PostgreSQL as the source: rows in, clusters out, against Stage 3's files of the same.

    PYTHONPATH=.:plugins python -m tests.benchmarks.source_table 100000

fills a table with the vectors of `tests.benchmarks.independent`, exports it, performs the steps
over the export and over Stage 3's files, compares the results bit for bit, publishes and writes
back: the first time, again, and after a second run without a hundredth of the rows. `--scratch DIR`
keeps files and database there. Processor time and memory are the worker's, without the server's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow.parquet as pq
from psycopg.sql import SQL, Identifier

from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.stage3.index import open_index
from local.postgres import RESULTS, Postgres
from tests.benchmarks.independent import write_independent
from tests.benchmarks.spectrum import DIMENSION
from tests.benchmarks.store import store
from tests.isolation import isolate

LEVEL = "events"
_NEWS = "newsroom"
_SOURCE = ("--set", "input.source=postgres", "--set", "input.table=events")
_CREATE = f"""
CREATE TABLE events (
    id text PRIMARY KEY, embedding vector({DIMENSION}), metadata jsonb, cluster_id text
)
"""
_BLOCK = 4096
Json = dict[str, Any]


def main() -> None:
    """Measure, and print a line for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", type=int)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    isolate()
    with tempfile.TemporaryDirectory(prefix="stage4-source-") as temporary:
        folder = given.scratch or Path(temporary)
        folder.chmod(0o711)  # the server's user, where we are root, has to pass
        os.environ["STAGE4_WORKSPACE"] = str(folder / "workspace")
        with store(folder):
            measure(folder, given.rows)


def measure(folder: Path, rows: int) -> None:
    """Do all of it; see the head of this module."""
    show("load average", {"one_minute": round(os.getloadavg()[0], 1)})
    write_independent(folder / "stage3", LEVEL, rows)
    with newsroom(folder) as news:
        fill(news, folder / "stage3")
        ours = perform(folder, "stage3", str(folder / "stage3"))
        export = in_own_process("export")
        show("export", export)
        theirs = perform(folder, "table", export["folder"], *_SOURCE)
        show("the same as from Stage 3's files", compared(ours, theirs))
        publish(theirs)
        for what in ("write back", "write back again"):
            show(what, in_own_process("write_back"))
        before = clusters(news)
        news.execute("DELETE FROM events WHERE hashtext(id) % 100 = 0")
        export = in_own_process("export")
        show("export without a hundredth", export)
        publish(perform(folder, "later", export["folder"], *_SOURCE))
        show("write back what changed", in_own_process("write_back"))
        after = clusters(news)
        show("rows whose cluster changed", {"rows": sum(after[n] != before[n] for n in after)})


def show(what: str, found: Json) -> None:
    print(json.dumps({"what": what} | found), flush=True)


@contextmanager
def newsroom(folder: Path) -> Iterator[psycopg.Connection[Any]]:
    """A database with a table, which the installation lists."""
    server = Postgres(folder / "postgres")
    with psycopg.connect(server.url(RESULTS), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(_NEWS)))
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(_NEWS)))
    os.environ["AIRFLOW_CONN_NEWS"] = json.dumps(server.connection(_NEWS))
    listing = {"conn_id": "news", "level": LEVEL, "table": "public.events"}
    listing |= {"metadata": "metadata", "clusters": "public.clusters"}
    os.environ["STAGE4_SOURCE_TABLES"] = json.dumps({"events": listing})
    deployment.cache_clear()
    with psycopg.connect(server.url(_NEWS), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(_CREATE)
        yield connection


def fill(news: psycopg.Connection[Any], stage3: Path) -> None:
    """Copy Stage 3's pair of files into the table."""
    index = open_index(stage3 / LEVELS[LEVEL].pair[0], DIMENSION)
    entries = json.loads((stage3 / LEVELS[LEVEL].pair[1]).read_bytes())
    rows = list(entries["metadata_store"].items())
    header = np.array([DIMENSION, 0], ">i2").tobytes()
    with news.cursor().copy("COPY events (id, embedding, metadata) FROM STDIN BINARY") as copy:
        copy.set_types(["text", "bytea", "jsonb"])
        for start in range(0, len(rows), _BLOCK):
            some = rows[start : start + _BLOCK]
            at = np.array([entries["id_map"][name] for name, _ in some])
            vectors = index.take(at).astype(">f4")
            for (_, entry), vector in zip(some, vectors, strict=True):
                metadata = psycopg.types.json.Jsonb(entry["metadata"])
                copy.write_row((entry["source_id"], header + vector.tobytes(), metadata))
    news.execute("ANALYZE events")


def perform(folder: Path, job: str, indices: str, *settings: str) -> dict[str, Json]:
    """Perform the steps, each in a process of its own; returns their results."""
    where = ("--level", LEVEL, "--workspace", str(folder / "workspace"), "--job", job)
    as_of = ("--as-of", f"2026-03-0{1 + (job == 'later')}T12:00:00Z")
    done = {"snapshot": step("snapshot", *where, *as_of, "--indices", indices, *settings)}
    done["plan"] = step("plan", *where)
    for part in done["plan"]["parts"]:
        step("cluster", *where, "--part", str(part["part"]))
    return done | {
        name: step(name, *where) for name in ("merge", "tag", "trend", "identify", "label")
    }


def step(*arguments: str) -> Json:
    command = [sys.executable, "-m", "clustering_tasks", *arguments]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    result: Json = json.loads(ended.stdout.splitlines()[-1])
    return result


def compared(ours: dict[str, Json], theirs: dict[str, Json]) -> dict[str, bool]:
    """Compare the vectors of two snapshots, and all that `label` says of the members."""
    vectors = [Path(run["snapshot"]["files"]["vectors"]).read_bytes() for run in (ours, theirs)]
    one, other = (
        pq.read_table(run["label"]["files"]["members_parquet"]).drop_columns(["metadata"])
        for run in (ours, theirs)
    )
    return {"vectors": vectors[0] == vectors[1], "members": one.equals(other)}


def publish(run: dict[str, Json]) -> None:
    """Load a run and publish it."""
    from stage4.database.load import load_run
    from stage4.database.publish import publish_run

    load_run(run["label"]["files"], read_report(run["label"]["files"]["report"]))
    assert publish_run(run["label"])["published"]


def clusters(news: psycopg.Connection[Any]) -> dict[str, str | None]:
    return dict(news.execute("SELECT id, cluster_id FROM events").fetchall())


def in_own_process(what: str) -> Json:
    """Perform one of `_PARTS` in a new process, whose memory is its own."""
    command = [
        sys.executable,
        "-c",
        f"import tests.benchmarks.source_table as it; it.part({what!r})",
    ]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    result: Json = json.loads(ended.stdout.splitlines()[-1])
    return result


def part(what: str) -> None:
    """Perform a part in this process, and print what it returns with its cost, without imports."""
    work = _PARTS[what]()
    started, before, least = time.perf_counter(), time.process_time(), peak()
    done = work()
    own = {"wall": time.perf_counter() - started, "cpu_seconds": time.process_time() - before}
    own |= {"peak_mb": peak(), "peak_mb_before": least}
    print(json.dumps(done | {name: round(value, 2) for name, value in own.items()}))


def peak() -> float:
    """The most memory that this process has had, in MB; not what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _export() -> Callable[[], Json]:
    from dataclasses import asdict

    from clustering_tasks.settings.groups.source import InputSettings
    from stage4.source_tables.choice import Chosen
    from stage4.source_tables.export import export_table

    chosen = Chosen(LEVEL, deployment().source_tables[LEVEL])
    return lambda: asdict(export_table(chosen, InputSettings(), deployment().workspace))


def _write_back() -> Callable[[], Json]:
    from stage4.source_tables.write_back import write_back_level

    return lambda: write_back_level(LEVEL, deployment().source_tables) or {}


_PARTS = {"export": _export, "write_back": _write_back}

if __name__ == "__main__":
    main()
