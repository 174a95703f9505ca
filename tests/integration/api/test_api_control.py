"""Starting jobs and acting on them: Airflow's whole API server, PostgreSQL, no worker."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.concurrency import run_in_threadpool
from starlette.testclient import TestClient

from clustering_tasks.settings.deployment import deployment
from stage4.api.airflow_app import AirflowApp, Answer
from stage4.job_ids import job_id, level_run_id
from stage4.tasks import ALL_PARTS, LEVEL_TASKS
from stage4_plugin import URL_PREFIX
from tests.events_out import SECRET
from tests.integration.api.conftest import bearer
from tests.integration.api.whole_airflow import (
    end_run,
    expand_parts,
    set_states,
    states_of,
    whole_airflow,
)
from tests.integration.conftest import Results

DAG = "cluster_events"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def whole(
    template: Results, airflow_metadata: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    name = template.server.create_database(template.database)
    results = Results(template.server, name, template.loader, template.reader)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_STAGE4_POSTGRES", results.connection_json())
        patch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "1000000")
        patch.setenv("STAGE4_WORKSPACE", str(tmp_path_factory.mktemp("nothing")))
        deployment.cache_clear()
        with whole_airflow() as client:
            yield client
    deployment.cache_clear()
    template.server.drop_database(name)


@pytest.fixture
def api(whole: TestClient) -> "Client":
    return Client(whole, bearer("user", "uma"))


class Client:
    """A user of the API."""

    def __init__(self, client: TestClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    def ask(self, method: str, path: str, status: int, body: Json | None = None) -> Any:
        answer = self.client.request(
            method, f"{URL_PREFIX}/{path}", json=body, headers=self.headers
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def submit(self, level: str = "events", status: int = 202, **more: Any) -> Any:
        return self.ask("POST", "batch", status, {"level": level} | more)

    def act(self, job: str, action: str, status: int = 200, **more: Any) -> Any:
        return self.ask("PATCH", f"jobs/{job}", status, {"action": action} | more)

    def cancel(self, job: str, status: int = 200) -> Any:
        return self.ask("DELETE", f"jobs/{job}", status)

    def job(self, job: str) -> Any:
        return self.ask("GET", f"jobs/{job}", 200)


def state(api: Client, job: Json) -> str:
    """A job's state, which is the same in the list and by its id."""
    by_id = api.job(job["job_id"])["state"]
    (listed,) = [
        each
        for each in api.ask("GET", f"jobs?state={by_id}&limit=100", 200)["jobs"]
        if each["job_id"] == job["job_id"]
    ]
    assert listed["state"] == by_id
    return str(by_id)


def begin(job: Json, *parts: str | None) -> None:
    """Let a job be in the middle of `cluster`."""
    run_id = job["dag_run_id"]
    set_states(DAG, run_id, dict.fromkeys(("check_stage3", "snapshot", "plan"), "success"), None)
    expand_parts(DAG, run_id, *parts)
    end_run(DAG, run_id, "running")


def test_a_submission_is_a_run_of_the_levels_dag(api: Client) -> None:
    job = api.submit("event", settings={"hdbscan.min_cluster_size": 4})
    assert job["job_id"] == job_id(DAG, job["dag_run_id"])
    assert (job["level"], job["state"], job["created"]) == ("events", "queued", True)
    assert job["conf"] == {"hdbscan.min_cluster_size": 4}
    run = api.client.get(
        f"/api/v2/dags/{DAG}/dagRuns/{job['dag_run_id']}", headers=api.headers
    ).json()
    assert (run["conf"], run["triggering_user_name"]) == (job["conf"], "uma")
    assert state(api, job) == "queued"


def test_a_submission_tells_its_place_and_its_duration(api: Client) -> None:
    first, second = api.submit("entities"), api.submit("entities")
    assert (first["jobs_before"], second["jobs_before"]) == (0, 1)
    assert first["expected_seconds"] is None  # no job of the level has been completed
    end_run("cluster_entities", first["dag_run_id"], "success", minutes=5)
    third = api.submit("entities")
    assert (third["jobs_before"], third["expected_seconds"]) == (1, 300.0)
    ended = api.job(first["job_id"])
    assert (ended["jobs_before"], ended["expected_seconds"]) == (None, 300.0)


def test_all_levels_are_a_job_too(api: Client) -> None:
    job = api.submit("all", settings={"common": {"scope": "domain"}})
    assert (job["dag_id"], job["level"]) == ("cluster_all", None)


def test_everything_that_is_wrong_is_named_and_nothing_starts(api: Client) -> None:
    before = api.ask("GET", "jobs?limit=1", 200)
    wrong = {"hdbscan.min_cluster_size": 0, "typo": 1, "input.table": "none", "kmeans": {"k": "x"}}
    answer = api.submit(status=422, settings=wrong)
    said = "\n".join(each["message"] for each in answer["errors"])
    for name in ("hdbscan.min_cluster_size", "typo", "kmeans.k"):
        assert name in said
    assert {each["where"] for each in answer["errors"]} == {"body.settings"}
    of_all = {"events": {"scope": "nowhere"}, "planets": {}}
    assert "planets" in str(api.submit("all", 422, settings=of_all)["errors"])
    ends = {"events": {"agglomerative": {"clusters": 3, "cut_similarity": 0.5}}}
    assert "cut_similarity" in str(api.submit("all", 422, settings=ends)["errors"])
    for text in ('{"temporal.decay_days": NaN}', '{"label.stop_words": "\\u0000"}'):
        body = f'{{"level": "events", "settings": {text}}}'
        answer = api.client.post(f"{URL_PREFIX}/batch", content=body, headers=api.headers)
        assert answer.status_code == 422, answer.text
    assert "64 bits" in str(api.submit(status=422, settings={"kmeans.k": 2**70})["errors"])
    assert api.ask("GET", "jobs?limit=1", 200) == before


@pytest.mark.parametrize(
    "more", [{"callback_url": "http://x"}, {"idempotency_key": ""}, {"idempotency_key": "a b"}]
)
def test_what_it_does_not_know_is_refused(api: Client, more: Json) -> None:
    assert api.submit(status=422, **more)["errors"]


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STAGE4_CALLBACK_HOSTS", "hooks.example.org")
    monkeypatch.setenv("STAGE4_CALLBACK_SECRET", SECRET)
    deployment.cache_clear()
    assert deployment().sends_events
    yield
    deployment.cache_clear()


@pytest.mark.usefixtures("callbacks")
def test_a_callback_goes_into_the_conf_of_a_run_that_may_have_it(api: Client) -> None:
    url = "https://hooks.example.org/done"
    for level in ("events", "all"):
        job = api.submit(level, callback_url=url)
        assert job["conf"] == {"callback_url": url}
        end_run(job["dag_id"], job["dag_run_id"], "failed")
    elsewhere = "https://example.org/done"
    wrong = api.submit(status=422, callback_url=elsewhere, settings={"typo": 1})["errors"]
    assert {each["where"] for each in wrong} == {"body.callback_url", "body.settings"}
    nested = {"callback_url": elsewhere}  # as the conf of a run has it
    assert "allowed hosts" in str(api.submit("all", 422, settings=nested)["errors"])


@pytest.mark.usefixtures("callbacks")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "169.254.169.254", "[::1]"])
def test_a_callback_into_a_forbidden_network_is_refused_when_it_is_submitted(
    api: Client, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("STAGE4_CALLBACK_HOSTS", f"{host}:9000")
    deployment.cache_clear()
    (wrong,) = api.submit(status=422, callback_url=f"http://{host}:9000/done")["errors"]
    assert wrong["where"] == "body.callback_url"
    assert "outside the allowed networks" in wrong["message"]


def told(api: Client, job: str) -> list[tuple[str, str, str]]:
    """The events of a job in their order: what they say, its state by them, who gets them."""
    found = api.ask("GET", f"events?job_id={job}&limit=100", 200)["events"]
    return [
        (each["type"].rpartition(".")[2], each["data"]["state"], each["level"])
        for each in reversed(found)
    ]


@pytest.mark.usefixtures("callbacks")
def test_receivers_are_told_of_submissions_and_pauses(api: Client) -> None:
    job = api.submit("entities", callback_url="https://hooks.example.org/done")
    for action in ("pause", "pause", "resume", "resume"):
        api.act(job["job_id"], action)
    assert told(api, job["job_id"]) == [
        ("created", "queued", "entities"),
        ("paused", "paused", "entities"),
        ("resumed", "queued", "entities"),
    ]
    end_run("cluster_entities", job["dag_run_id"], "failed")


@pytest.mark.usefixtures("callbacks")
def test_the_levels_of_a_paused_job_of_all_are_told_of_it(api: Client) -> None:
    everything = api.submit("all")
    run_id = level_run_id(everything["dag_run_id"], "events")
    body: Json = {"dag_run_id": run_id, "logical_date": None, "conf": {}}
    started = api.client.post(f"/api/v2/dags/{DAG}/dagRuns", json=body, headers=api.headers)
    assert started.status_code == 200, started.text
    level = job_id(DAG, run_id)
    api.act(level, "pause")
    api.act(everything["job_id"], "pause")
    api.act(everything["job_id"], "resume")  # the level has been paused on its own, too
    assert [what for what, _, _ in told(api, level)] == ["created", "paused"]
    api.act(level, "resume")
    assert [what for what, _, _ in told(api, level)] == ["created", "paused", "resumed"]
    end_run(DAG, run_id, "failed")
    end_run("cluster_all", everything["dag_run_id"], "failed")


def test_a_key_that_is_submitted_twice_is_one_job(api: Client) -> None:
    asked: Json = {"idempotency_key": "order-4711", "settings": {"neighbours.k": 20}}
    first = api.submit(**asked)
    end_run(DAG, first["dag_run_id"], "success")
    again = api.submit(**asked)
    assert (first["created"], again["created"]) == (True, False)
    assert (again["job_id"], again["state"]) == (first["job_id"], "completed")
    others: list[Json] = [
        {"settings": {"neighbours.k": 21}},
        {"settings": {}},
        {"level": "documents"},
    ]
    for other in others:
        body = {"level": "events"} | asked | other
        assert "another" in api.ask("POST", "batch", 409, body)["detail"]


def test_a_key_that_is_submitted_at_the_same_moment_is_one_job(api: Client) -> None:
    with ThreadPoolExecutor(4) as callers:
        submitted = [callers.submit(api.submit, idempotency_key="at-once") for _ in range(4)]
    found = [each.result() for each in submitted]
    assert len({job["job_id"] for job in found}) == 1
    assert sorted(job["created"] for job in found) == [False, False, False, True]


def test_a_paused_job_is_paused_until_it_is_resumed(api: Client) -> None:
    job = api.submit()
    assert api.act(job["job_id"], "pause")["state"] == "paused"
    assert state(api, job) == "paused"
    begin(job, "running", "scheduled")
    assert api.act(job["job_id"], "pause")["state"] == "paused"  # again: nothing changes
    assert states_of(DAG, job["dag_run_id"])["cluster[0]"] == "running"
    assert state(api, job) == "paused"
    assert api.act(job["job_id"], "resume")["state"] == "running"
    assert state(api, job) == "running"


def test_pausing_now_ends_what_runs_and_nothing_else(api: Client) -> None:
    job = api.submit()
    begin(job, "success", "running", "scheduled")
    before = states_of(DAG, job["dag_run_id"])
    assert api.act(job["job_id"], "pause", now=True)["state"] == "paused"
    after = states_of(DAG, job["dag_run_id"])
    assert after == before | {"cluster[1]": "restarting"}
    api.act(job["job_id"], "resume", 422, now=True)


def test_a_canceled_job_is_canceled_for_ever(api: Client) -> None:
    job = api.submit()
    begin(job, "success", "running", None)
    assert api.cancel(job["job_id"])["state"] == "canceled"
    states = states_of(DAG, job["dag_run_id"])
    assert (states["cluster[1]"], states["publish"]) == ("failed", "skipped")
    assert state(api, job) == "canceled"
    assert api.cancel(job["job_id"])["state"] == "canceled"
    for action in ("pause", "resume", "retry"):
        assert "submit a new one" in api.act(job["job_id"], action, 409)["detail"]
    failed = api.ask("GET", "jobs?state=failed&limit=100", 200)["jobs"]
    assert job["job_id"] not in {each["job_id"] for each in failed}


def test_a_retry_repeats_what_failed_and_what_follows(api: Client) -> None:
    job = api.submit()
    run_id = job["dag_run_id"]
    assert "failed" in api.act(job["job_id"], "retry", 409)["detail"]
    begin(job, "success", "success")
    set_states(DAG, run_id, dict.fromkeys(LEVEL_TASKS[:5], "success"), "upstream_failed")
    set_states_of_parts(run_id)
    end_run(DAG, run_id, "failed")
    assert state(api, job) == "failed"
    assert api.act(job["job_id"], "retry")["state"] == "queued"
    states = states_of(DAG, run_id)
    again = {task for task, found in states.items() if found is None}
    behind = LEVEL_TASKS[LEVEL_TASKS.index("merge") :]
    assert again == {"cluster[1]", ALL_PARTS, *behind}


def failed_at(job: Json, task: str) -> None:
    """Let a job end with a task that failed; those before it are done."""
    before: dict[str, str | None] = dict.fromkeys(LEVEL_TASKS[: LEVEL_TASKS.index(task)], "success")
    set_states(DAG, job["dag_run_id"], before | {task: "failed"}, "upstream_failed")
    end_run(DAG, job["dag_run_id"], "failed")


def beginning(task: str) -> Json:
    return {"from": task}


MERGE = beginning("merge")


def test_a_retry_from_a_task_repeats_it_and_what_follows(api: Client) -> None:
    job = api.submit()
    wrong: list[tuple[Json, str]] = [
        ({"from": "no_such_task"}, "`from` is none of check_stage3, snapshot"),
        ({"from": "merge", "now": True}, "`now` goes with"),
    ]
    for asked, why in wrong:
        assert why in api.act(job["job_id"], "retry", 422, **asked)["detail"]
    assert "`from`" in api.act(job["job_id"], "pause", 422, **MERGE)["detail"]
    assert "completed" in api.act(job["job_id"], "retry", 409, **MERGE)["detail"]
    set_states(DAG, job["dag_run_id"], {}, "success")
    end_run(DAG, job["dag_run_id"], "success")
    assert state(api, job) == "completed"
    api.act(job["job_id"], "retry", 409)  # nothing has failed
    assert api.act(job["job_id"], "retry", **MERGE)["state"] == "queued"
    again = {task for task, found in states_of(DAG, job["dag_run_id"]).items() if found is None}
    assert again == set(LEVEL_TASKS[LEVEL_TASKS.index("merge") :])
    every = api.submit(level="all")
    end_run("cluster_all", every["dag_run_id"], "failed")
    detail = api.act(every["job_id"], "retry", 422, **MERGE)["detail"]
    assert detail.endswith("is of all levels.")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path))
    deployment.cache_clear()
    yield tmp_path
    deployment.cache_clear()


@dataclass(frozen=True)
class Work:
    """What a run has left in the workspace."""

    job: Json
    level: Path

    @property
    def folder(self) -> Path:
        return self.level / "runs" / str(self.job["job_id"])

    def keep(self, *names: str) -> None:
        """Record the results of these steps, whose artefacts are whole."""
        parts = [{"part": 0, "name": "all", "items": 1}]
        write_json(self.folder / "run.json", {})
        for name in names:
            # another mount than this server's, as containers have
            uri = f"/mnt/{self.level.name}/artefacts/{name}/{self.job['job_id']}"
            write_json(self.folder / f"{name}.json", {"uri": uri, "parts": parts})
            write_json(self.artefact(name) / "result.json", {})

    def artefact(self, name: str) -> Path:
        return self.level / "artefacts" / name / str(self.job["job_id"])


def write_json(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def cleared(job: Json) -> set[str]:
    """The tasks that run again; `all_parts` stands beside them."""
    states = states_of(DAG, job["dag_run_id"])
    return {task for task, found in states.items() if found is None} - {ALL_PARTS}


def from_on(task: str) -> set[str]:
    return {*LEVEL_TASKS[LEVEL_TASKS.index(task) :]}


RESULTS = ("snapshot", "plan", "cluster-0", *LEVEL_TASKS[4:-4])


def test_a_job_whose_work_a_deletion_has_removed_begins_anew(api: Client, workspace: Path) -> None:
    job = api.submit()
    work = Work(job, workspace / "events")
    work.keep(*RESULTS)
    failed_at(job, "merge")
    api.act(job["job_id"], "retry")
    assert cleared(job) == from_on("merge")
    failed_at(job, "merge")
    for name in RESULTS:
        (work.folder / f"{name}.json").unlink()
    detail = api.act(job["job_id"], "retry", 409, **MERGE)["detail"]
    assert "Begin with `check_stage3`" in detail
    api.act(job["job_id"], "retry")
    assert {*states_of(DAG, job["dag_run_id"]).values()} == {None}


@pytest.mark.parametrize(
    ("gone", "begin"),
    [
        (["plan"], "plan"),
        (["cluster-0"], "cluster"),
        (["merge"], "merge"),
        (["snapshot"], "check_stage3"),
        (["tag", "trend"], "tag"),
        (["identify", "plan"], "identify"),  # nothing behind `identify` reads the plan
        (["map"], None),
        (["plan", "cluster-0"], None),
    ],
)
@pytest.mark.parametrize("how", ["record", "artefact", "damaged"])
def test_a_retry_begins_where_what_it_reads_is_still_there(
    api: Client, workspace: Path, gone: list[str], begin: str | None, how: str
) -> None:
    """`housekeeping` takes artefacts of old runs, and runs of old days."""
    job = api.submit()
    work = Work(job, workspace / "events")
    work.keep(*RESULTS)
    failing = "merge" if begin in ("plan", "cluster") else "label"
    for name in gone:
        if how == "record":
            (work.folder / f"{name}.json").unlink()
        elif how == "damaged":
            (work.folder / f"{name}.json").write_text('{"uri": ')
        else:
            shutil.rmtree(work.artefact(name))
    if how == "record" and gone[0].startswith("cluster"):
        begin = "merge"  # a part without a record may have failed: `merge` says so
    failed_at(job, failing)
    asked = beginning(failing)
    if begin in (None, failing):
        api.act(job["job_id"], "retry", **asked)
        assert cleared(job) == from_on(failing)
        failed_at(job, failing)
    else:
        detail = api.act(job["job_id"], "retry", 409, **asked)["detail"]
        assert f"Begin with `{begin}`" in detail
    api.act(job["job_id"], "retry")
    assert cleared(job) == from_on(begin or failing)


def test_a_sink_is_tried_again_alone_whatever_else_is_gone(api: Client, workspace: Path) -> None:
    job = api.submit()
    Work(job, workspace / "events").keep("label")
    failed_at(job, "notify_stage5")
    api.act(job["job_id"], "retry")
    assert "publish" not in cleared(job)
    assert "notify_stage5" in cleared(job)


def test_a_workspace_that_this_server_does_not_see_changes_nothing(
    api: Client, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uri in (str(workspace / "elsewhere"), "s3://without-its-library/x"):
        monkeypatch.setenv("STAGE4_WORKSPACE", uri)
        deployment.cache_clear()
        job = api.submit()
        failed_at(job, "merge")
        api.act(job["job_id"], "retry")
        assert cleared(job) == from_on("merge")


@pytest.mark.parametrize(
    ("failed", "begin", "missing"),
    [
        ("snapshot", "merge", "snapshot"),
        ("check_stage3", "write_back", "check_stage3"),
        ("cluster", "merge", "cluster"),
        ("publish", "notify_stage5", "publish"),
    ],
)
def test_a_retry_does_not_begin_behind_what_has_not_succeeded(
    api: Client, failed: str, begin: str, missing: str
) -> None:
    """The rest would be skipped or fail again, with the words of another task."""
    job = api.submit()
    failed_at(job, failed)
    before = states_of(DAG, job["dag_run_id"])
    detail = api.act(job["job_id"], "retry", 409, **beginning(begin))["detail"]
    assert f"Begin with `{missing}`" in detail
    assert states_of(DAG, job["dag_run_id"]) == before
    assert api.act(job["job_id"], "retry", **beginning(missing))["state"] == "queued"


def test_a_retry_begins_behind_a_part_or_a_map_that_a_run_goes_on_without(api: Client) -> None:
    job = api.submit()
    begin(job, "success", "failed")
    end_run(DAG, job["dag_run_id"], "failed")
    api.act(job["job_id"], "retry", **MERGE)
    assert {"cluster[0]", "cluster[1]"}.isdisjoint(cleared(job))
    other = api.submit()
    set_states(DAG, other["dag_run_id"], {"map": "failed"}, "success")
    end_run(DAG, other["dag_run_id"], "success")
    api.act(other["job_id"], "retry", **beginning("load_postgres"))
    assert cleared(other) == from_on("load_postgres")


def test_a_retry_of_all_parts_takes_every_one(api: Client) -> None:
    job = api.submit()
    begin(job, "success", "success")
    set_states(DAG, job["dag_run_id"], {}, "success")
    end_run(DAG, job["dag_run_id"], "success")
    api.act(job["job_id"], "retry", **beginning("cluster"))
    assert {"cluster[0]", "cluster[1]", *from_on("merge")} == cleared(job)


def test_a_task_that_the_run_does_not_have_is_refused(api: Client) -> None:
    """Its DAG was an earlier version's."""
    from airflow.models.taskinstance import TaskInstance  # noqa: TID251
    from airflow.utils.session import create_session

    job = api.submit()
    set_states(DAG, job["dag_run_id"], {}, "success")
    end_run(DAG, job["dag_run_id"], "success")
    with create_session() as session:
        session.query(TaskInstance).filter_by(run_id=job["dag_run_id"], task_id="tag").delete()
    assert "`tag`" in api.act(job["job_id"], "retry", 409, **beginning("tag"))["detail"]


def test_a_job_that_was_called_failed_behind_its_end_is_told_what_to_name(api: Client) -> None:
    job = api.submit()
    set_states(DAG, job["dag_run_id"], {}, "success")
    end_run(DAG, job["dag_run_id"], "failed")
    assert "`from`" in api.act(job["job_id"], "retry", 409)["detail"]
    assert api.act(job["job_id"], "retry", **MERGE)["state"] == "queued"


def test_a_second_retry_ends_nothing_that_the_first_has_started(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = api.submit()
    before_merge = LEVEL_TASKS[: LEVEL_TASKS.index("merge")]
    states: dict[str, str | None] = {**dict.fromkeys(before_merge, "success"), "merge": "running"}
    failed_at(job, "merge")
    api.act(job["job_id"], "retry", **MERGE)
    failed_at(job, "merge")
    set_states(DAG, job["dag_run_id"], states, None)
    end_run(DAG, job["dag_run_id"], "failed")  # as the second one has read it, a moment ago
    assert "retried" in api.act(job["job_id"], "retry", 409, **MERGE)["detail"]
    assert states_of(DAG, job["dag_run_id"])["merge"] == "running"
    failed_at(job, "merge")

    async def colliding(*_: object) -> Answer:
        """Both have read the same rows: Airflow's database refuses the later one."""
        await run_in_threadpool(end_run, DAG, job["dag_run_id"], "queued")
        return Answer(500, [])

    monkeypatch.setattr(AirflowApp, "call", colliding)
    assert "retried" in api.act(job["job_id"], "retry", 409)["detail"]


def test_from_gives_nobody_a_right_and_brings_no_canceled_job_back(
    api: Client, whole: TestClient
) -> None:
    job = api.submit()
    failed_at(job, "merge")
    Client(whole, bearer("viewer", "vera")).act(job["job_id"], "retry", 403, **MERGE)
    assert state(api, job) == "failed"
    other = api.submit()
    begin(other, "success")
    api.cancel(other["job_id"])
    assert "submit a new one" in api.act(other["job_id"], "retry", 409, **MERGE)["detail"]


def set_states_of_parts(run_id: str) -> None:
    from airflow.models.taskinstance import TaskInstance  # noqa: TID251
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        of_part = update(TaskInstance).where(
            TaskInstance.run_id == run_id, TaskInstance.task_id == "cluster"
        )
        session.execute(of_part.where(TaskInstance.map_index == 0).values(state="success"))
        session.execute(of_part.where(TaskInstance.map_index == 1).values(state="failed"))


def test_a_run_that_was_ended_without_a_failure_is_tried_again(api: Client) -> None:
    job = api.submit()
    begin(job, "success", "success")
    set_states(DAG, job["dag_run_id"], {"map": "skipped"}, "success")
    end_run(DAG, job["dag_run_id"], "failed")
    api.act(job["job_id"], "retry")
    again = {task for task, found in states_of(DAG, job["dag_run_id"]).items() if found is None}
    assert again >= {"map", "load_postgres", "publish"}
    assert "cluster[0]" not in again


def test_a_job_that_has_ended_is_left_alone(api: Client) -> None:
    job = api.submit()
    end_run(DAG, job["dag_run_id"], "success")
    for action in ("pause", "resume", "retry"):
        assert "completed" in api.act(job["job_id"], action, 409)["detail"]
    api.cancel(job["job_id"], 409)
    assert state(api, job) == "completed"


def test_a_job_of_all_levels_takes_its_levels_along(api: Client) -> None:
    job = api.submit("all")
    child: Json = {"logical_date": None, "dag_run_id": f"{job['dag_run_id']}__events", "conf": {}}
    api.client.post(
        f"/api/v2/dags/{DAG}/dagRuns", json=child, headers=api.headers
    ).raise_for_status()
    of_events = {"job_id": job_id(DAG, child["dag_run_id"]), "dag_run_id": child["dag_run_id"]}
    begin(of_events, "running")
    api.act(job["job_id"], "pause", now=True)
    assert state(api, job) == state(api, of_events) == "paused"
    assert states_of(DAG, child["dag_run_id"])["cluster[0]"] == "restarting"
    api.act(job["job_id"], "resume")
    assert state(api, of_events) == "running"
    api.cancel(job["job_id"])
    assert state(api, job) == state(api, of_events) == "canceled"


def test_a_viewer_changes_nothing(api: Client, whole: TestClient) -> None:
    job = api.submit()
    viewer = Client(whole, bearer("viewer", "vera"))
    viewer.submit(status=403)
    for action in ("pause", "resume", "retry"):
        viewer.act(job["job_id"], action, 403)
    viewer.cancel(job["job_id"], 403)
    assert state(viewer, job) == "queued"


def test_another_sites_page_changes_nothing(api: Client) -> None:
    job = api.submit()
    token = api.headers["Authorization"].removeprefix("Bearer ")
    headers = {"Cookie": f"_token={token}", "Origin": "http://evil.test"}
    path = f"{URL_PREFIX}/jobs/{job['job_id']}"
    assert api.client.delete(path, headers=headers).status_code == 403
    own = {"Cookie": headers["Cookie"], "X-Stage4-Request": "page"}
    assert api.client.delete(path, headers=own).status_code == 200
    assert state(api, job) == "canceled"


def test_no_job_of_that_name_is_404(api: Client) -> None:
    api.act("cluster_events.none", "pause", 404)
    api.cancel("cluster_events.none", 404)
