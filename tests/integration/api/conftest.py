"""The real API, with Airflow's auth manager, on a real PostgreSQL that holds a sample corpus."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser
from starlette.testclient import TestClient
from upath import UPath

from clustering_tasks.pipeline import perform_steps
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace.artefacts import Run
from local.sample import write_sample
from stage4.database.publish import publish_run
from stage4_plugin import URL_PREFIX, Stage4Plugin
from tests.browser import launched
from tests.contract import check_record
from tests.integration.api.deletion_fixtures import AS_OF, Installation, own_copy
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.performed import files_of, label_of, load

DENSE = {"algorithm": "hdbscan", "hdbscan.min_cluster_size": 2, "hdbscan.min_samples": 1}
LINKED = {"algorithm": "agglomerative"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """A published run: its number, and what `label` wrote."""

    load_id: int
    files: dict[str, str]

    @cached_property
    def records(self) -> dict[str, Json]:
        """The lines of the JSONL, by cluster id."""
        lines = Path(self.files["clusters_jsonl"]).read_bytes().splitlines()
        records: list[Json] = [json.loads(line) for line in lines]
        for record in records:
            check_record(record)
        return {record["cluster_id"]: record for record in records}

    @cached_property
    def members(self) -> list[Json]:
        """The rows of members.parquet."""
        import pyarrow.parquet as pq

        rows: list[Json] = pq.read_table(self.files["members_parquet"]).to_pylist()
        return rows


@dataclass(frozen=True)
class Corpus:
    """The sample corpus, every level loaded and published.

    Attributes:
        results: the database.
        runs: the current run of each level.
        earlier: the run of `events` that was published before, of another algorithm.
    """

    results: Results
    runs: dict[str, Loaded]
    earlier: Loaded


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture(scope="session")
def corpus(template: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("api")
    write_sample(folder / "indices", documents=40, seed=1)
    forget_dates(folder / "indices" / "events_metadata.json")
    name = template.server.create_database(template.database)
    connection = template.server.airflow_connection(name, template.loader)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, json.dumps(connection))
        patch.setenv("STAGE4_WORKSPACE", str(folder / "workspace"))
        patch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "1000000")
        deployment.cache_clear()
        earlier = cluster(folder, "events", "first", DENSE)
        later = AS_OF + timedelta(days=1)
        runs = {level: cluster(folder, level, "second", LINKED, later) for level in LEVELS}
        results = Results(template.server, name, template.loader, template.reader)
        yield Corpus(results, runs, earlier)
    deployment.cache_clear()
    template.server.drop_database(name)


def forget_dates(path: Path) -> None:
    """Take the time from the events of half the domains, as sources do that do not know it."""
    content = json.loads(path.read_text())
    items = [each["metadata"] for each in content["metadata_store"].values()]
    domains = sorted({item["domain"] for item in items})
    for item in items:
        if item["domain"] in domains[::2]:
            for name in LEVELS["events"].date_fields:
                item.pop(name, None)
    path.write_text(json.dumps(content))


def cluster(folder: Path, level: str, job: str, settings: Json, as_of: datetime = AS_OF) -> Loaded:
    """Run a level from the sample's vectors to its publication."""
    run = Run(
        workspace=UPath(folder / "workspace"),
        level=LEVELS[level],
        job_id=f"cluster_{level}.{job}",
        indices=str(folder / "indices"),
        as_of=as_of,
        settings=run_settings(settings),
    )
    run.start()
    perform_steps(run, with_map=True)
    load_id = load(run)
    assert publish_run(label_of(run))["published"]
    return Loaded(load_id, files_of(run))


@contextmanager
def serving(api: FastAPI | None = None) -> Iterator[TestClient]:
    """The API as Airflow mounts it, with nobody logged in; its services end with the block."""
    from stage4.api.app import build

    inner = api or build()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount(URL_PREFIX, inner)
    for each in Stage4Plugin().fastapi_root_middlewares:
        outer.add_middleware(each["middleware"])
    with TestClient(
        outer, base_url=f"http://stage4.test{URL_PREFIX}/", raise_server_exceptions=False
    ) as client:
        yield client


def token(role: str | None = "viewer", name: str = "vera") -> str:
    """A token as `POST /auth/token` gives it to a user with this role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    manager: Any = get_auth_manager()
    signed: str = manager.generate_jwt(SimpleAuthManagerUser(username=name, role=role))
    return signed


def bearer(role: str | None = "viewer", name: str = "vera") -> dict[str, str]:
    return {"Authorization": f"Bearer {token(role, name)}"}


@pytest.fixture(scope="session")
def stranger(corpus: Corpus, airflow_metadata: None) -> Iterator[TestClient]:
    """The API, asked by nobody in particular."""
    with serving() as client:
        yield client


@dataclass(frozen=True)
class Api:
    """The API, asked by a user who may read everything."""

    client: TestClient
    headers: dict[str, str]

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        answer: httpx.Response = self.client.request(method, path, headers=self.headers, **how)
        if not answer.is_success:
            assert answer.headers["content-type"] == "application/problem+json", answer.text
            assert answer.json()["status"] == answer.status_code
            assert "Traceback" not in answer.text
        return answer

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.ask("GET", path, params=parameters or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def search(self, **body: Any) -> Any:
        answer = self.ask("POST", "clusters/search", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, **parameters: Any) -> list[Json]:
        """Every page of a list."""
        found = [self.get(path, **parameters)]
        while cursor := found[-1]["next_cursor"]:
            found.append(self.get(path, **parameters, cursor=cursor))
        return found


@pytest.fixture(scope="session")
def viewer(stranger: TestClient) -> Api:
    return Api(stranger, bearer("viewer"))


@pytest.fixture
def made(
    original: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """A copy of the module's `original` that the test may change."""
    with own_copy(original, tmp_path, monkeypatch) as installation:
        yield installation


@pytest.fixture
def api(made: Installation) -> Iterator[Api]:
    """The API of `made`, for a user who may start runs."""
    with serving() as client:
        yield Api(client, bearer("user", "ulla"))
