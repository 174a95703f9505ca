"""An installation with runs of all levels, a document of it, and a search for what is left."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from psycopg import sql
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import read_tombstones
from clustering_tasks.pipeline import perform_steps
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.redact.redact import redact
from clustering_tasks.workspace.artefacts import Run
from local.sample import write_sample
from stage4.deletions import progress
from stage4.tasks.delete_document import close_deletion, reload_level, start_deletion
from tests.contract import check_record
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.performed import publish

Json = dict[str, Any]

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "a secret of the tests, long enough"
DENSE = {"algorithm": "hdbscan", "hdbscan.min_cluster_size": 2, "hdbscan.min_samples": 1}


@dataclass(frozen=True)
class Installation:
    """A workspace, its results database, and Stage 3's folder.

    Attributes:
        folder: of `workspace`, `output` within it, and `indices`.
        results: the database.
        redis: None where there is none.
    """

    folder: Path
    results: Results
    redis: "redis.Redis | None" = None

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.results.rows(query, *values, user=self.results.loader)

    def cluster(self, level: str, job: str, days: int = 0, settings: Json | None = None) -> None:
        """Run a level, load it and publish it, as its DAG does."""
        run = self.run(level, job, days, settings)
        run.start()
        perform_steps(
            run, read_tombstones(UPath(self.workspace), deployment().deletion_key), with_map=True
        )
        self.publish(run)

    def run(self, level: str, job: str, days: int = 0, settings: Json | None = None) -> Run:
        return Run(
            workspace=UPath(self.workspace),
            level=LEVELS[level],
            job_id=f"cluster_{level}.{job}",
            indices=str(self.folder / "indices"),
            as_of=AS_OF + timedelta(days=days),
            settings=run_settings(settings or DENSE),
        )

    def publish(self, run: Run) -> None:
        publish(run)

    def carry_out(self) -> None:
        """Do what the DAG `delete_document` does."""
        begun = start_deletion()
        for level in LEVELS:
            self.redact(level)
            reload_level(level)
        close_deletion(begun)

    def redact(self, level: str) -> dict[str, Any]:
        where = UPath(self.workspace)
        deleted = read_tombstones(where, deployment().deletion_key)
        return dict(redact(where, LEVELS[level], "delete_document.1", deleted).metrics)

    def found(self, *needles: str) -> list[str]:
        """Name every row, file and key of the cache that says one of the texts."""
        wanted = [needle.encode() for needle in needles]
        every = [*self._in_tables(), *self._in_files(), *self._in_cache()]
        return [name for name, said in every if any(each in said for each in wanted)]

    def _in_tables(self) -> Iterator[tuple[str, bytes]]:
        tables = self.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'stage4'::regnamespace"
            " AND relkind IN ('r', 'v')"
        )
        with self.results.server.connect(self.results.database) as connection:
            for (table,) in tables:
                statement = sql.SQL("SELECT each::text FROM stage4.{} each").format(
                    sql.Identifier(table)
                )
                for (row,) in connection.execute(statement):
                    yield table, row.encode()

    def _in_files(self) -> Iterator[tuple[str, bytes]]:
        for path in self.workspace.rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes() + str(path).encode()
                if path.suffix == ".parquet":
                    yield str(path), orjson.dumps(pq.read_table(path).to_pylist(), default=str)

    def _in_cache(self) -> Iterator[tuple[str, bytes]]:
        if self.redis is not None:
            for key in self.redis.scan_iter("*"):
                said: Any = self.redis.get(key) if self.redis.type(key) == b"string" else b""
                yield key.decode(), key + (said or b"")

    def adds_up(self) -> None:
        """Every run's counts are those of its rows, and every cluster has its members."""
        for load_id, level, counts in self.rows(
            "SELECT load_id, level, report->'counts' FROM stage4.runs"
        ):
            columns = "read, clustered, noise, filtered, unassigned, clusters"
            (stored,) = self.rows(f"SELECT {columns} FROM stage4.runs WHERE load_id = %s", load_id)  # noqa: S608
            assert stored == tuple(counts[name] for name in columns.split(", "))
            assert stored[0] == sum(stored[1:5])
            members = self.rows(f"SELECT cluster_id, status FROM stage4.members_{load_id}")  # noqa: S608
            assert len(members) == stored[0], level
            sizes = dict(self.rows(f"SELECT cluster_id, size FROM stage4.clusters_{load_id}"))  # noqa: S608
            names = [cluster for cluster, _ in members if cluster is not None]
            assert sizes == {name: names.count(name) for name in set(names)}
            assert all(size >= 2 for size in sizes.values())
            assert len(sizes) == stored[5]

    def published_records(self, level: str) -> dict[str, Json]:
        pointer = orjson.loads((self.workspace / level / "published.json").read_bytes())
        lines = Path(pointer["clusters_jsonl"]).read_bytes()
        assert lines == Path(pointer["dated_jsonl"]).read_bytes()
        records: list[Json] = [orjson.loads(line) for line in lines.splitlines()]
        for record in records:
            check_record(record)
        return {record["cluster_id"]: record for record in records}


def settle(patch: pytest.MonkeyPatch, folder: Path, results: Results) -> None:
    """Let the environment be that of an installation."""
    patch.setenv(CONNECTION_VARIABLE, results.connection_json())
    patch.setenv("STAGE4_WORKSPACE", str(folder / "workspace"))
    patch.setenv("STAGE4_INDICES", str(folder / "indices"))
    patch.setenv("STAGE4_DELETION_SECRET", SECRET)
    patch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "1000000")
    deployment.cache_clear()


@contextmanager
def built(
    template: Results, folder: Path, build: Callable[[Installation], None]
) -> Iterator[Installation]:
    """An installation of the sample on a database of its own; `build` finds its environment set."""
    name = template.server.create_database(template.database)
    made = Installation(folder, Results(template.server, name, template.loader, template.reader))
    write_sample(folder / "indices", documents=30, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, folder, made.results)
        build(made)
    deployment.cache_clear()
    yield made
    template.server.drop_database(name)


def cluster_two_days(made: Installation) -> None:
    """Run and publish every level on one day, `events` and `documents` on the day before too."""
    let_name_each_other(made.folder / "indices")
    for level in ("documents", "events"):
        made.cluster(level, "first")
    for level in LEVELS:
        made.cluster(level, "second", 1)


def let_name_each_other(indices: Path) -> None:
    """Let every item name an item, a vector and the document of the next document."""
    for level in LEVELS.values():
        path = indices / f"{level.name}_metadata.json"
        content = orjson.loads(path.read_bytes())
        entries = list(content["metadata_store"].values())
        documents = [
            each["metadata"].get("document_id") or each["source_id"].partition("_storyline_")[0]
            for each in entries
        ]
        following = dict(zip(sorted(set(documents)), sorted(set(documents))[1:], strict=False))
        for entry, document in zip(entries, documents, strict=True):
            if (other := following.get(document)) is None:
                continue
            said = entry["metadata"]
            said["event_ids"] = [*said.get("event_ids", []), f"{other}_event_0"]
            said["related"] = {"vectors": [f"event_emb_{other}_event_1", "a word"], "count": 2}
            said["related_document_ids"] = [other]
            said["follows"] = f"{other}_entity_3"
        path.write_bytes(orjson.dumps(content))


def copied(made: Installation, folder: Path, results: Results) -> Installation:
    """A copy of an installation, that a test may change."""
    for name in ("workspace", "indices"):
        shutil.copytree(made.folder / name, folder / name)
    for path in (folder / "workspace").rglob("*.json"):  # results name their files in full
        path.write_text(path.read_text().replace(str(made.folder), str(folder)))
    return Installation(folder, results)


@contextmanager
def own_copy(
    original: Installation, folder: Path, patch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """An installation of the test's own; replaced runs go at once."""
    server = original.results.server
    name = server.create_database(original.results.database)
    results = Results(server, name, original.results.loader, original.results.reader)
    settle(patch, folder, results)
    patch.setattr("stage4.database.pointer.GRACE", "0 seconds")
    patch.setattr(progress, "_POLL_SECONDS", 0.05)
    patch.setattr(progress, "_REPLACED_SECONDS", 10.0)
    yield copied(original, folder, results)
    server.drop_database(name)
    deployment.cache_clear()


def vectors_of(made: Installation, level: str, job: str) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """The items and the vectors of a run's snapshot."""
    snapshot = made.run(level, job).result("snapshot")
    vectors = np.load(io.BytesIO(snapshot.path("vectors").read_bytes()))
    return pq.read_table(snapshot.path("items").path), vectors


def texts_of(made: Installation, document: str) -> list[str]:
    """The title of a document and the sentences of its events, those that it alone says."""
    content = {
        level: orjson.loads((made.folder / "indices" / f"{level}_metadata.json").read_bytes())
        for level in LEVELS
    }
    own, others = list[str](), list[str]()
    for level in LEVELS:
        for entry in content[level]["metadata_store"].values():
            metadata = entry["metadata"]
            mine = metadata.get("document_id", entry["source_id"]) == document
            (own if mine else others).extend(
                each for each in metadata.values() if isinstance(each, str)
            )
    rest = "\n".join(others)
    return sorted({text for text in own if len(text) > 30 and text not in rest})
