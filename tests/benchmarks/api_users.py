"""Users of the REST API, for locust: each asks, reads for a second, and asks again.

`tests.benchmarks.api` runs this file; the variable API_USERS names the file with the level, the ids
to ask for and the token. The time inside the endpoint, apart from Airflow's own, is told by the
header `Server-Timing` and counted under the name of the request with ` (endpoint)`.
"""

import json
import os
import random
import re
from pathlib import Path
from typing import Any

from locust import FastHttpUser, between, task

GIVEN: dict[str, Any] = json.loads(Path(os.environ["API_USERS"]).read_text())
_ENDPOINT = re.compile(r"endpoint;dur=([0-9.]+)")
_LEVEL = {"level": GIVEN["level"]}


class Reader(FastHttpUser):
    """A person, or the stage after ours."""

    # Not all at the same moment: people who think for exactly a second would queue up every second.
    wait_time = between(0.5 * GIVEN["think_seconds"], 1.5 * GIVEN["think_seconds"])

    def on_start(self) -> None:
        self.random = random.Random()

    def ask(self, name: str, path: str, body: Any = None) -> None:
        """Ask, and count the endpoint's own time beside the client's."""
        headers = {"Authorization": f"Bearer {GIVEN['token']}"}
        method = "GET" if body is None else "POST"
        with self.client.request(
            method, path, name=name, json=body, headers=headers, catch_response=True
        ) as answer:
            if answer.status_code == GIVEN["statuses"].get(name, 200):
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}")
            found = _ENDPOINT.search(answer.headers.get("server-timing", ""))
        self.environment.events.request.fire(
            request_type="endpoint",
            name=f"{name} (endpoint)",
            response_time=float(found[1]) if found else 0.0,
            response_length=0,
            exception=None if found else ValueError("no Server-Timing"),
            context={},
        )

    def one(self, kind: str) -> str:
        chosen: str = self.random.choice(GIVEN[kind])
        return chosen

    @task(3)
    def list_clusters(self) -> None:
        start = f"2025-{self.random.randint(1, 12):02}-01T00:00:00Z"
        order = self.random.choice(["size", "start", "label"])
        query = f"level={GIVEN['level']}&order={order}&start={start}"
        self.ask("list", f"clusters?{query}")

    @task(3)
    def read_cluster(self) -> None:
        self.ask("cluster", f"clusters/{self.one('clusters')}")

    @task(3)
    def read_members(self) -> None:
        self.ask("members", f"clusters/{self.one('clusters')}/members")

    @task(3)
    def find_item(self) -> None:
        self.ask("item", f"items/{GIVEN['level']}/{self.one('items')}")

    @task
    def find_document(self) -> None:
        self.ask("document", f"documents/{self.one('documents')}/clusters")

    @task
    def read_similar(self) -> None:
        self.ask("similar", f"clusters/{self.one('clusters')}/similar")

    @task
    def search_text(self) -> None:
        self.ask("search by text", "clusters/search", _LEVEL | {"text": self.one("words")})

    @task
    def search_vector(self) -> None:
        vector = [self.random.gauss(0, 1) for _ in range(GIVEN["dimension"])]
        self.ask("search by vector", "clusters/search", _LEVEL | {"vector": vector, "limit": 10})

    @task
    def read_metrics(self) -> None:
        self.ask("metrics", f"metrics/{GIVEN['level']}")

    @task
    def empty(self) -> None:
        """Nothing but Airflow's token check and a refusal."""
        self.ask("empty route", "nothing")


if GIVEN.get("tasks"):
    Reader.tasks = [getattr(Reader, name) for name in GIVEN["tasks"]]
