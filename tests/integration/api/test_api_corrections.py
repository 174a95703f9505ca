"""Corrections from the request to the next runs, their undoing, and who may make them."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException

from clustering_tasks.pipeline import perform_steps
from stage4.tasks.level import check_stage3
from tests.integration.api.conftest import Api, Json, bearer
from tests.integration.api.deletion_fixtures import Installation, built
from tests.integration.conftest import CONNECTION_VARIABLE, Results

pytestmark = pytest.mark.usefixtures("airflow_metadata")


@dataclass
class Task:
    """The parts of a DAG run and of a task instance that `check_stage3` needs."""

    conf: dict[str, Any] | None = None
    run_id: str = "manual__1"
    values: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[key] = value


@pytest.fixture(scope="module")
def original(template: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    def cluster_once(made: Installation) -> None:
        made.cluster("events", "first")

    with built(template, tmp_path_factory.mktemp("corrections"), cluster_once) as made:
        yield made


def correct(api: Api, status: int = 201, **body: Any) -> Json:
    answer = api.ask("POST", "corrections", json={"level": "events"} | body)
    assert answer.status_code == status, answer.text
    said: Json = answer.json()
    return said


def undo(api: Api, correction: Json) -> Json:
    answer = api.ask("DELETE", f"corrections/{correction['correction_id']}")
    assert answer.status_code == 200, answer.text
    said: Json = answer.json()
    return said


def run_next(made: Installation, job: str, days: int) -> Json:
    """What the DAG does: freeze, cluster, load, publish; returns the report."""
    task = Task()
    options = check_stage3("events", task, task)
    frozen = options["corrections"]
    run = replace(
        made.run("events", job, days), corrections=None if frozen is None else Path(frozen).stem
    )
    run.start()
    perform_steps(run, with_map=True)
    made.publish(run)
    report: Json = json.loads(Path(run.result("label").files["report"]).read_bytes())
    return report


def clusters(api: Api, **parameters: Any) -> list[Json]:
    pages = api.pages("clusters", level="events", limit=200, **parameters)
    return [each for page in pages for each in page["clusters"]]


def members(api: Api, cluster: str) -> list[str]:
    pages = api.pages(f"clusters/{cluster}/members", limit=200, order="similarity")
    return [each["vector_id"] for page in pages for each in page["members"]]


def cluster_of(api: Api, vector: str) -> str | None:
    found: str | None = api.get(f"items/events/{source(vector)}")["cluster_id"]
    return found


def source(vector: str) -> str:
    return vector.removeprefix("event_emb_")


def test_two_clusters_are_one_story_from_the_next_run_on(made: Installation, api: Api) -> None:
    one, two = (each["cluster_id"] for each in clusters(api)[:2])
    of_one, of_two = members(api, one), members(api, two)
    said = correct(api, kind="together", clusters=[one, two], reason=" the <b>same</b> vote\n")
    assert (said["made_by"], said["reason"], said["state"]) == ("ulla", "the same vote", "holds")
    assert set(said["items"]) <= {*of_one, *of_two}
    assert cluster_of(api, of_one[0]) == one, "the published run stays as it is"
    for day in (1, 2):
        report = run_next(made, f"day-{day}", day)
        assert report["corrections"]["applied"] == 1
        together = cluster_of(api, of_one[0])
        assert together is not None
        assert {*members(api, together)} >= {*of_one, *of_two}
        record = api.get(f"clusters/{together}")["record"]
        kept = {"correction_id": said["correction_id"], "kind": "together"}
        assert record["corrections"] == [kept]
        about = api.get("corrections", cluster_id=together)["corrections"]
        assert [each["correction_id"] for each in about] == [said["correction_id"]]
        assert api.get(f"clusters/{together}/lineage")["corrections"] == about


def test_an_item_leaves_the_story_of_a_cluster(made: Installation, api: Api) -> None:
    cluster = clusters(api)[0]["cluster_id"]
    inside = members(api, cluster)
    said = correct(api, kind="apart", items=[source(inside[-1])], cluster_id=cluster)
    assert said["items"] == [inside[-1]]
    assert set(said["others"]) <= {*inside[:-1]}
    run_next(made, "next", 1)
    left = cluster_of(api, inside[-1])
    assert left is None or not {*said["others"]} & {*members(api, left)}
    assert cluster_of(api, said["others"][0]) is not None


def test_an_item_that_does_not_belong_does_not_stand_for_its_cluster(api: Api) -> None:
    one, two = (each["cluster_id"] for each in clusters(api)[:2])
    central = members(api, one)[0]
    correct(api, kind="apart", items=[central], cluster_id=one)
    said = correct(api, kind="together", clusters=[one, two])
    assert central not in said["items"]


def test_a_name_a_pin_and_what_is_hidden(made: Installation, api: Api) -> None:
    one, two = (each["cluster_id"] for each in clusters(api)[:2])
    correct(api, kind="rename", cluster_id=one, label="<script>alert(1)</script>The \u202evote")
    correct(api, kind="pin", cluster_id=one)
    hidden = correct(api, kind="hide", cluster_id=two)
    assert [each["cluster_id"] for each in clusters(api, pinned="true")] == [one]
    assert two not in {each["cluster_id"] for each in clusters(api)}
    assert two in {each["cluster_id"] for each in clusters(api, hidden="true")}
    assert two not in {each["cluster_id"] for each in api.search(level="events")["clusters"]}
    [mark] = api.get(f"clusters/{two}")["marks"]
    assert mark == {"correction_id": hidden["correction_id"], "kind": "hide", "label": None}
    run_next(made, "next", 1)
    assert api.get(f"clusters/{one}")["label"] == "The vote"
    marks = [each["kind"] for each in api.get(f"clusters/{one}")["record"]["corrections"]]
    assert marks == ["rename", "pin"]
    undo(api, hidden)
    assert two in {each["cluster_id"] for each in clusters(api)}
    assert api.get(f"clusters/{two}")["marks"] == []


def test_what_contradicts_is_refused_by_name(api: Api) -> None:
    inside = members(api, clusters(api)[0]["cluster_id"])
    first = correct(api, kind="together", items=inside[:2])
    second = correct(api, kind="together", items=inside[1:3])
    refused = correct(api, 409, kind="apart", items=[inside[0]], others=[inside[2]])
    for each in (first, second):
        assert f"{each['correction_id']} (together, by ulla on " in refused["detail"]
        assert each["correction_id"] in refused["against"]
    assert len(api.get("corrections")["corrections"]) == 2
    undo(api, second)
    correct(api, kind="apart", items=[inside[0]], others=[inside[2]])


def test_a_second_name_takes_the_place_of_the_first(made: Installation, api: Api) -> None:
    cluster = clusters(api)[0]["cluster_id"]
    first = correct(api, kind="rename", cluster_id=cluster, label="A vote")
    again = correct(api, 200, kind="rename", cluster_id=cluster, label="A vote")
    assert again["correction_id"] == first["correction_id"]
    second = correct(api, kind="rename", cluster_id=cluster, label="Another vote")
    rows = {each["correction_id"]: each for each in api.get("corrections")["corrections"]}
    assert (rows[first["correction_id"]]["state"], second["state"]) == ("undone", "holds")
    assert rows[first["correction_id"]]["undone_by"] == "ulla"
    run_next(made, "named", 1)
    assert api.get(f"clusters/{cluster}")["label"] == "Another vote"


def test_what_holds_already_is_nothing_to_do(made: Installation, api: Api) -> None:
    """Of each kind, before and after the next run; and a second undoing."""
    one, two, three = (each["cluster_id"] for each in clusters(api)[:3])
    leaving = members(api, one)[-1]
    bodies: list[Json] = [
        {"kind": "apart", "items": [leaving], "cluster_id": one},
        {"kind": "rename", "cluster_id": one, "label": "A vote"},
        {"kind": "pin", "cluster_id": one},
        {"kind": "hide", "cluster_id": two},
        {"kind": "together", "clusters": [two, three]},
    ]
    first = [correct(api, **body) for body in bodies]
    assert [each["changed"] for each in first] == [True] * len(bodies)
    again = [correct(api, 200, **body) for body in bodies]
    assert [each["changed"] for each in again] == [False] * len(bodies)
    assert [each | {"changed": True} for each in again] == first
    run_next(made, "next", 1)
    for body, before in zip(bodies[1:4], first[1:4], strict=True):
        same = correct(api, 200, **body)
        assert (same["correction_id"], same["changed"]) == (before["correction_id"], False)
    assert (undo(api, first[2])["changed"], undo(api, first[2])["changed"]) == (True, False)


def test_what_would_change_nothing_is_refused_by_name(api: Api) -> None:
    one, two = clusters(api)[:2]
    here, there = members(api, one["cluster_id"]), members(api, two["cluster_id"])
    away = source(there[0])
    idle: list[tuple[Json, str]] = [
        (
            {"kind": "rename", "cluster_id": one["cluster_id"], "label": f" {one['label']} "},
            f"`{one['cluster_id']}` is called `{one['label']}` already",
        ),
        (
            {"kind": "apart", "items": [here[0], away], "cluster_id": one["cluster_id"]},
            f"`{one['cluster_id']}` does not hold `{away}`",
        ),
        (
            {"kind": "together", "items": here[:2], "clusters": [one["cluster_id"]]},
            f"`{one['cluster_id']}` holds `{here[0]}`, `{here[1]}` already",
        ),
    ]
    for body, said in idle:
        assert said in correct(api, 422, **body)["detail"]
    assert api.get("corrections")["corrections"] == []
    correct(api, kind="together", items=[here[0], there[0]], clusters=[one["cluster_id"]])


def test_a_name_is_kept_by_one_who_takes_another_back(made: Installation, api: Api) -> None:
    """Its own name is no change, unless a person's name holds or has come with a run."""
    cluster, label = (clusters(api)[0][name] for name in ("cluster_id", "label"))
    other = correct(api, kind="rename", cluster_id=cluster, label="A vote")
    back = correct(api, kind="rename", cluster_id=cluster, label=label)
    undo(api, back)
    correct(api, 422, kind="rename", cluster_id=cluster, label=label)
    correct(api, kind="rename", cluster_id=cluster, label="A vote")
    run_next(made, "next", 1)
    assert api.get(f"clusters/{cluster}")["label"] == "A vote"
    [held] = api.get("corrections", holds="true")["corrections"]
    assert held["correction_id"] > other["correction_id"]
    undo(api, held)
    assert correct(api, kind="rename", cluster_id=cluster, label="A vote")["changed"]


def test_a_correction_keeps_the_clusters_that_were_named(api: Api) -> None:
    one, two = clusters(api)[:2]
    names = {each["cluster_id"]: each["label"] for each in (one, two)}
    together = correct(api, kind="together", clusters=[*names])
    assert together["clusters"] == [*names]
    assert together["names"].items() >= names.items()
    gone = {name: value for name, value in undo(api, together).items() if name != "changed"}
    leaving = members(api, one["cluster_id"])[-1]
    apart = correct(api, kind="apart", items=[leaving], cluster_id=one["cluster_id"])
    assert (apart["clusters"], apart["cluster_id"]) == ([one["cluster_id"]], None)
    title = api.get(f"items/events/{source(leaving)}")["metadata"]["event_description"]
    assert apart["names"][leaving] == title
    assert api.get("corrections", cluster_id=two["cluster_id"])["corrections"] == [gone]


def test_what_is_undone_stays_as_a_row_and_changes_the_next_run_back(
    made: Installation, api: Api
) -> None:
    one, two = (each["cluster_id"] for each in clusters(api)[:2])
    before = {each["cluster_id"] for each in clusters(api)}
    said = correct(api, kind="together", clusters=[one, two])
    run_next(made, "with", 1)
    gone = undo(api, said)
    assert (gone["state"], gone["undone_by"]) == ("undone", "ulla")
    assert undo(api, said)["undone_at"] == gone["undone_at"], "asking again changes nothing"
    run_next(made, "without", 2)
    assert {each["cluster_id"] for each in clusters(api)} == before
    assert api.get("corrections", holds="true")["corrections"] == []
    assert len(api.get("corrections", holds="false")["corrections"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"kind": "together", "items": ["event_emb_nobody", "x'; DROP TABLE y;--"]}, 404, "nobody"),
        ({"kind": "pin", "cluster_id": "event_000000000000"}, 404, "event_000000000000"),
        ({"kind": "pin", "cluster_id": "entity_000000000000"}, 422, "not of this level"),
        ({"kind": "together", "clusters": ["document_000000000000"]}, 422, "not of this level"),
        ({"kind": "pin", "cluster_id": "event_../../etc"}, 422, "not valid"),
        ({"kind": "together", "items": ["a\x00b", "c"]}, 422, "not valid"),
        ({"kind": "together", "items": [f"i{n}" for n in range(201)]}, 422, "not valid"),
        ({"kind": "together", "items": ["x" * 600, "y"]}, 422, "not valid"),
        ({"kind": "forget", "items": ["a", "b"]}, 422, "not valid"),
        ({"kind": "pin", "cluster_id": "event_000000000000", "made_by": "root"}, 422, "not valid"),
        ({"kind": "rename", "level": "comets", "label": "x"}, 422, "not valid"),
    ],
)
def test_hostile_and_unknown_names_are_refused(
    api: Api, body: Json, status: int, said: str
) -> None:
    assert said in correct(api, status, **body)["detail"]
    assert api.get("corrections")["corrections"] == []


def test_what_is_no_correction_says_why(api: Api) -> None:
    cluster = clusters(api)[0]["cluster_id"]
    inside = members(api, cluster)
    wrong: list[tuple[Json, str]] = [
        ({"kind": "together", "items": [inside[0]]}, "two items"),
        ({"kind": "together", "items": inside[:2], "cluster_id": cluster}, "no `cluster_id`"),
        ({"kind": "apart", "items": [inside[0]]}, "`others`"),
        ({"kind": "apart", "items": inside[:1], "others": inside[:2]}, "both sides"),
        ({"kind": "rename", "cluster_id": cluster}, "a `label`"),
        ({"kind": "rename", "cluster_id": cluster, "label": "\u200b"}, "can be seen"),
        ({"kind": "rename", "cluster_id": cluster, "label": "x" * 300}, "200 characters"),
        ({"kind": "pin", "cluster_id": cluster, "clusters": [cluster]}, "no `clusters`"),
        ({"kind": "together", "clusters": [cluster]}, f"`{cluster}` alone is one story"),
        ({"kind": "together", "clusters": [cluster, cluster]}, f"`{cluster}` more than once"),
    ]
    for body, said in wrong:
        assert said in correct(api, 422, **body)["detail"]


def test_a_reader_may_read_and_not_correct(made: Installation, api: Api) -> None:
    cluster = clusters(api)[0]["cluster_id"]
    said = correct(api, kind="pin", cluster_id=cluster)
    reader = Api(api.client, bearer("viewer", "vera"))
    assert len(reader.get("corrections")["corrections"]) == 1
    correct(reader, 403, kind="hide", cluster_id=cluster)
    assert reader.ask("DELETE", f"corrections/{said['correction_id']}").status_code == 403
    nobody = api.client.post("corrections", json={"level": "events", "kind": "pin"})
    assert nobody.status_code == 401
    assert api.get("corrections")["corrections"][0]["state"] == "holds"


def test_a_list_of_another_level_s_cluster_is_refused(api: Api) -> None:
    cluster = clusters(api)[0]["cluster_id"]
    correct(api, kind="pin", cluster_id=cluster)
    assert len(api.get("corrections", level="event", cluster_id=cluster)["corrections"]) == 1
    answer = api.ask("GET", f"corrections?level=documents&cluster_id={cluster}")
    assert answer.status_code == 422
    assert "is of events, not of documents" in answer.json()["detail"]


def test_another_sites_page_cannot_correct_with_the_cookie(api: Api) -> None:
    cluster = clusters(api)[0]["cluster_id"]
    token = api.headers["Authorization"].removeprefix("Bearer ")
    body = {"level": "events", "kind": "pin", "cluster_id": cluster}
    for headers, status in (
        ({"Origin": "http://evil.test"}, 403),
        ({}, 403),
        ({"X-Stage4-Request": "page"}, 201),
    ):
        cookie = {"Cookie": f"_token={token}"}
        answer = api.client.post("corrections", json=body, headers=headers | cookie)
        assert answer.status_code == status, answer.text


def test_no_such_correction(api: Api) -> None:
    assert api.ask("DELETE", "corrections/4711").status_code == 404
    assert api.ask("DELETE", "corrections/9223372036854775808").status_code == 422


def test_a_level_without_a_run_has_nothing_to_correct(api: Api) -> None:
    body = {"level": "entities", "kind": "together", "items": ["a", "b"]}
    assert "No run of entities" in correct(api, 404, **body)["detail"]


def test_of_two_at_once_that_contradict_one_is_refused(made: Installation, api: Api) -> None:
    inside = members(api, clusters(api)[0]["cluster_id"])
    found = list[int]()
    start = threading.Barrier(2)

    def send(body: Json) -> None:
        start.wait()
        answer = api.client.post(
            "corrections", json={"level": "events"} | body, headers=api.headers
        )
        found.append(answer.status_code)

    bodies: list[Json] = [
        {"kind": "together", "items": inside[:2]},
        {"kind": "apart", "items": inside[:1], "others": inside[1:2]},
    ]
    threads = [threading.Thread(target=send, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201, 409]


def test_a_deleted_document_takes_its_corrections_along(made: Installation, api: Api) -> None:
    one, two = (each["cluster_id"] for each in clusters(api)[:2])
    pages = api.get(f"clusters/{one}/members", limit=200)["members"]
    item = next(each for each in pages if each["document_id"])
    document = item["document_id"]
    other = members(api, two)[0]
    correct(api, kind="together", items=[item["vector_id"], other], reason="kept elsewhere")
    correct(api, kind="pin", cluster_id=one, reason=f"not like {document}")
    run_next(made, "with", 1)
    assert made.found(document)
    assert api.ask("DELETE", f"documents/{document}").status_code == 202
    left = api.get("corrections")["corrections"]
    assert [(each["kind"], each["reason"]) for each in left] == [("pin", "")]
    made.carry_out()
    where = made.workspace / "events" / "corrections"
    for path in where.glob("*.json"):
        assert document not in path.read_text()
    marks = api.get(f"clusters/{cluster_of(api, other)}")["record"]["corrections"]
    assert "together" not in [each["kind"] for each in marks]
    assert made.found(f"{document}_", f'{document}"') == []
    made.adds_up()


def test_a_name_that_holds_the_digits_of_a_deleted_document_stays(api: Api) -> None:
    one, two = (each["cluster_id"] for each in clusters(api)[:2])
    correct(api, kind="rename", cluster_id=one, label="G20 summit 2026 in Rome")
    correct(api, kind="pin", cluster_id=two, reason="all 20 of document 2")
    assert api.ask("DELETE", "documents/2").status_code == 202
    left = {each["kind"]: each for each in api.get("corrections")["corrections"]}
    assert left["rename"]["label"] == "G20 summit 2026 in Rome"
    assert left["pin"]["reason"] == "all 20 of document 2"


def test_a_deletion_takes_the_names_of_its_clusters_that_name_the_document(
    made: Installation, api: Api
) -> None:
    one, two, three = (each["cluster_id"] for each in clusters(api)[:3])
    item = next(
        each for each in api.get(f"clusters/{one}/members")["members"] if each["document_id"]
    )
    document = item["document_id"]
    correct(api, kind="rename", cluster_id=one, label=f"Story of {item['source_id']}")
    correct(api, kind="pin", cluster_id=one, reason=f"like {document}s")
    correct(api, kind="rename", cluster_id=two, label=f"x{document} and more")
    correct(api, kind="hide", cluster_id=three, reason=f"as {document}-2")
    assert api.ask("DELETE", f"documents/{document}").status_code == 202
    left = {each["kind"]: each for each in api.get("corrections")["corrections"]}
    assert left.keys() == {"pin", "rename", "hide"}
    assert left["rename"]["label"] == f"x{document} and more"
    assert left["pin"]["reason"] == f"like {document}s"


def test_a_correction_that_later_data_contradict_is_named_and_stops_nothing(
    made: Installation, api: Api
) -> None:
    inside = members(api, clusters(api)[0]["cluster_id"])
    first = correct(api, kind="together", items=inside[:2])
    with made.results.server.connect(made.results.database) as connection:
        (second,) = connection.execute(
            "INSERT INTO stage4.corrections (level, kind, items, others, made_by)"
            " VALUES ('events', 'apart', %s, %s, 'a restored backup') RETURNING correction_id",
            [inside[:1], inside[1:2]],
        ).fetchone() or (0,)
    report = run_next(made, "next", 1)["corrections"]
    assert report["contradictions"] == [f"{second} contradicts {first['correction_id']}"]
    assert report["applied"] == 1


def test_ten_thousand_corrections(made: Installation, api: Api) -> None:
    every = [name for each in clusters(api) for name in members(api, each["cluster_id"])]
    with made.results.server.connect(made.results.database) as connection:
        connection.execute(
            "INSERT INTO stage4.corrections (level, kind, items, others, documents, made_by)"
            " SELECT 'events', 'apart', ARRAY['gone_' || n], ARRAY['left_' || n], ARRAY['d' || n],"
            " 'import' FROM generate_series(1, 10000) n"
        )
    started = time.perf_counter()
    said = correct(api, kind="together", items=every[:2])
    entered = time.perf_counter() - started
    report = run_next(made, "next", 1)["corrections"]
    assert (report["applied"], report["waiting"]) == (1, 10_000)
    assert cluster_of(api, every[0]) == cluster_of(api, every[1]) is not None
    about = api.get("corrections", cluster_id=cluster_of(api, every[0]))["corrections"]
    assert [each["correction_id"] for each in about] == [said["correction_id"]]
    assert entered < 10, "a person waits for it"


def test_without_the_database_a_run_waits_for_it(
    made: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = json.loads(made.results.connection_json()) | {"host": "/nowhere"}
    monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(away))
    task = Task()
    with pytest.raises(AirflowException, match="trying again may help"):
        check_stage3("events", task, task)


def test_the_table_refuses_what_the_code_would_not_write(made: Installation) -> None:
    wrong = [
        "(level, kind, made_by) VALUES ('events', 'together', 'x')",
        "(level, kind, made_by) VALUES ('events', 'pin', 'x')",
        "(level, kind, cluster_id, made_by) VALUES ('events', 'rename', 'event_1', 'x')",
        "(level, kind, items, made_by) VALUES ('events', 'apart', '{a}', 'x')",
        "(level, kind, cluster_id, made_by, undone_by) VALUES ('events', 'pin', 'e', 'x', 'y')",
    ]
    with made.results.server.connect(made.results.database) as connection:
        for each in wrong:
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(f"INSERT INTO stage4.corrections {each}".encode())
