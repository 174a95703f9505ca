"""The part of Airflow's REST API that the local tooling and the end-to-end tests use."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import tenacity

from local.errors import LocalError

FINISHED = ("success", "failed")
PAGE = 100
LOG_LINES = 40
# A server that does not answer is waited for as long: on a machine that is busy elsewhere, answers
# of a minute were seen, and a server that has ended is started again.
PATIENCE_SECONDS = 180
Json = dict[str, Any]


class AirflowApi:
    """A session with the API server at `base_url`.

    `client` is an httpx client of /api/v2 that carries the token of the last `login`. `check` is
    called while the server does not answer; it raises if there is nothing to wait for.
    """

    def __init__(
        self,
        base_url: str,
        user: str,
        password: str,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.base_url = base_url
        self._check = check
        self._credentials = {"username": user, "password": password}
        # No proxy of the environment may see the token, or stand between us and this machine.
        self.client = httpx.Client(base_url=f"{base_url}/api/v2", timeout=30, trust_env=False)

    def login(self) -> None:
        """Fetch a token, valid for a day, and send it from now on."""
        token = f"{self.base_url}/auth/token"
        answer = self._answered(lambda: self.client.post(token, json=self._credentials))
        if answer.status_code != httpx.codes.CREATED:
            raise LocalError(f"Airflow refused the login ({answer.status_code}): {answer.text}")
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **params: Any) -> Json:
        """GET /api/v2`path`; raises LocalError with the server's words."""
        return answer_of(self._answered(lambda: self.client.get(path, params=params)))

    def post(self, path: str, body: Json) -> Json:
        """POST `body` to /api/v2`path`, once; raises LocalError with the server's words."""
        return answer_of(self._answered(lambda: self.client.post(path, json=body), patience=0))

    def _answered(
        self, request: Callable[[], httpx.Response], patience: float | None = None
    ) -> httpx.Response:
        """Send a request until there is an answer; with a `patience` of 0 once."""
        seconds = PATIENCE_SECONDS if patience is None else patience
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(httpx.TransportError),
            stop=tenacity.stop_after_delay(seconds),
            wait=tenacity.wait_fixed(1),
            before_sleep=lambda _: self._check(),
            reraise=True,
        )
        try:
            return retrying(request)
        except httpx.TransportError as error:
            raise LocalError(
                f"Airflow's API server at {self.base_url} does not answer, after {seconds:.0f} s"
                f" ({error}): is the machine overloaded? Its log is api-server.log"
            ) from error

    def health(self) -> Json | None:
        """The state of all components; None while nobody answers."""
        try:
            answer = self.client.get("/monitor/health", timeout=5)
        except httpx.TransportError:
            return None
        return answer.json() if answer.is_success else None

    def dags(self) -> list[Json]:
        """All DAGs that Airflow has seen, paused ones too."""
        return self._pages("/dags", "dags")

    def import_errors(self) -> list[Json]:
        """Each DAG file that could not be imported, with `filename` and `stack_trace`."""
        return self._pages("/importErrors", "import_errors")

    def trigger(self, dag_id: str, conf: Json | None = None, run_id: str | None = None) -> Json:
        """Start a run; the answer has its `dag_run_id`."""
        body: Json = {"logical_date": None, "conf": conf or {}}
        if run_id:
            body["dag_run_id"] = run_id
        return self.post(f"/dags/{dag_id}/dagRuns", body)

    def fail_run(self, dag_id: str, run_id: str) -> Json:
        """Mark a run as failed, which ends its tasks."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        failed = {"state": "failed"}
        return answer_of(self._answered(lambda: self.client.patch(path, json=failed)))

    def run(self, dag_id: str, run_id: str) -> Json | None:
        """A DAG run; None while it does not exist."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        answer = self._answered(lambda: self.client.get(path))
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer_of(answer)

    def wait(self, dag_id: str, run_id: str, seconds: float = 600, poll: float = 0.5) -> Json:
        """The run once it has ended, whatever its state; raises LocalError after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run = self.run(dag_id, run_id)
            if run is not None and run["state"] in FINISHED:
                return run
            time.sleep(poll)
        raise LocalError(f"Run {run_id} of {dag_id} has not ended after {seconds:.0f} s")

    def task_instances(self, runs: Sequence[tuple[str, str]]) -> list[Json]:
        """The task instances of several runs, given as pairs of DAG id and run id."""
        body: Json = {
            "dag_ids": [dag for dag, _ in runs],
            "dag_run_ids": [run for _, run in runs],
            "page_limit": PAGE,
        }
        found: list[Json] = []
        while True:
            page = self._listed(body | {"page_offset": len(found)})
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def _listed(self, body: Json) -> Json:
        path = "/dags/~/dagRuns/~/taskInstances/list"
        return answer_of(self._answered(lambda: self.client.post(path, json=body)))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value that a task returned, or pushed as `key`."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path)["value"]

    def log(self, task_instance: Json) -> str:
        """The text of the log of the last try of `task_instance` (as the API describes one)."""
        path = (
            f"/dags/{task_instance['dag_id']}/dagRuns/{task_instance['dag_run_id']}"
            f"/taskInstances/{task_instance['task_id']}/logs/{task_instance['try_number']}"
        )
        index = task_instance["map_index"]
        answer = self._answered(
            lambda: self.client.get(
                path, params={"map_index": index}, headers={"Accept": "application/json"}
            )
        )
        return "\n".join(log_lines(answer_of(answer)["content"]))

    def log_tail(self, task_instance: Json, lines: int = LOG_LINES) -> str:
        """The last lines of that log."""
        return "\n".join(self.log(task_instance).splitlines()[-lines:])

    def _pages(self, path: str, key: str) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self.get(path, limit=PAGE, offset=len(found))
            found += page[key]
            if len(found) >= page["total_entries"] or not page[key]:
                return found


def answer_of(response: httpx.Response) -> Json:
    """The body of a successful answer; raises LocalError otherwise."""
    if response.is_success:
        answer: Json = response.json()
        return answer
    request = response.request
    raise LocalError(
        f"{request.method} {request.url} answered {response.status_code}: {response.text[:2000]}"
    )


def log_lines(content: Sequence[Json | str]) -> Iterator[str]:
    """Structured log entries as text: time, level, message, and the error if there is one."""
    for entry in content:
        if isinstance(entry, str):
            yield entry
            continue
        if entry.get("event", "").startswith(("::group::", "::endgroup::")):
            continue
        clock = str(entry.get("timestamp") or "")[11:19]
        yield f"{clock} {entry.get('level', ''):<8} {entry.get('event', '')}".strip()
        yield from error_lines(entry.get("error_detail") or ())


def error_lines(detail: str | Sequence[Json]) -> Iterator[str]:
    """Airflow's own errors are structured; a step passes on its traceback as text."""
    if isinstance(detail, str):
        yield from detail.splitlines()
        return
    for error in detail:
        yield f"{error['exc_type']}: {error['exc_value']}"
