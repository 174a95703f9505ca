"""Ids that outlive their run: where an old one leads, its history, and the past itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.settings.deployment import deployment
from tests.integration.api.conftest import Api, Json, bearer, serving
from tests.integration.conftest import Results
from tests.integration.identified import (
    DORMANT,
    FIRST,
    LEFT,
    MAIN,
    NEVER,
    RIGHT,
    SECOND,
    SPLIT,
    show,
    three_runs,
)

pytestmark = pytest.mark.usefixtures("airflow_metadata")


@pytest.fixture
def loads(results: Results, tmp_path: Path) -> list[int]:
    """Three published runs."""
    return [run.release() for run in three_runs(tmp_path)]


@pytest.fixture
def api(loads: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "100000")
    deployment.cache_clear()
    with serving() as client:
        yield Api(client, bearer("viewer"))
    deployment.cache_clear()


def raw(api: Api, path: str, *, follow: bool = False) -> Any:
    return api.client.get(path, headers=api.headers, follow_redirects=follow)


@pytest.mark.parametrize("what", ["", "/members", "/similar", "/members?limit=3&order=similarity"])
def test_a_merged_id_leads_to_its_successor_in_one_step(api: Api, what: str) -> None:
    for old in (FIRST, SECOND):
        answer = raw(api, f"clusters/{old}{what}")
        assert (answer.status_code, answer.headers["cache-control"]) == (308, "no-store")
        where = "../" if what.startswith("/") else ""
        assert answer.headers["location"] == f"{where}{MAIN}{what}"
        followed = raw(api, f"clusters/{old}{what}", follow=True)
        assert followed.status_code == 200
        assert str(followed.url).endswith(f"/clusters/{MAIN}{what}")
        assert followed.json() == raw(api, f"clusters/{MAIN}{what}").json()


def test_a_split_id_names_its_parts(api: Api) -> None:
    answer = raw(api, f"clusters/{SPLIT}", follow=True)
    assert (answer.status_code, answer.headers["cache-control"]) == (300, "no-store")
    found = answer.json()
    assert (found["state"], found["successors"]) == ("split", [LEFT, RIGHT])
    assert found["choices"] == [
        {"cluster_id": name, "state": "active", "label": f"label of {name}", "size": size}
        for name, size in ((RIGHT, 5), (LEFT, 3))
    ]


@pytest.mark.parametrize("what", ["", "/members", "/similar"])
def test_an_id_without_a_cluster_is_gone_with_its_history(api: Api, what: str) -> None:
    answer = api.ask("GET", f"clusters/{DORMANT}{what}")
    assert (answer.status_code, answer.headers["cache-control"]) == (410, "no-store")
    found = answer.json()
    assert "a later run may have it again" in found["detail"]
    assert found["identity"]["state"] == "dormant"
    assert found["identity"]["born_job"] == "cluster_events.run__1"
    assert [row["change"] for row in found["lineage"]] == ["dormant", "continued", "continued"]


def test_an_id_that_was_never_published_is_unknown(api: Api) -> None:
    for what in ("", "/members", "/similar", "/lineage"):
        assert api.ask("GET", f"clusters/{NEVER}{what}").status_code == 404


def test_a_named_run_is_read_as_it_is(api: Api, loads: list[int]) -> None:
    assert api.get(f"clusters/{FIRST}", load_id=loads[0])["size"] == 4
    answer = api.ask("GET", f"clusters/{FIRST}?load_id={loads[1]}")
    assert answer.status_code == 404
    assert f"clusters/{FIRST}/lineage" in answer.json()["detail"]


def test_a_roll_back_is_seen_at_once(api: Api, loads: list[int]) -> None:
    show("events", loads[0], "roll_back")
    assert api.get(f"clusters/{FIRST}")["size"] == 4
    answer = api.ask("GET", f"clusters/{LEFT}")
    assert (answer.status_code, answer.json()["identity"]["state"]) == (410, "ended")
    assert answer.json()["lineage"][0]["withdrawn"]
    show("events", loads[2], "roll_back")
    assert raw(api, f"clusters/{FIRST}").headers["location"] == MAIN
    assert api.get(f"clusters/{LEFT}")["size"] == 3


def test_what_ended_or_was_deleted_is_gone_for_good(api: Api, results: Results) -> None:
    for state in ("ended", "deleted"):
        ends = "UPDATE stage4.identities SET state = %s WHERE cluster_id = %s"
        change(results, ends, state, MAIN)
        answer = api.ask("GET", f"clusters/{FIRST}")
        assert (answer.status_code, answer.json()["identity"]["state"]) == (410, "merged")
        change(results, "DELETE FROM stage4.members_3 WHERE cluster_id = %s", MAIN)
        change(results, "DELETE FROM stage4.clusters_3 WHERE cluster_id = %s", MAIN)
        answer = api.ask("GET", f"clusters/{MAIN}")
        assert (answer.status_code, answer.json()["identity"]["state"]) == (410, state)


def change(results: Results, statement: str, *values: object) -> None:
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute(statement.encode(), values)


def test_the_history_of_an_id(api: Api, loads: list[int]) -> None:
    found = api.get(f"clusters/{FIRST}/lineage")
    assert (found["state"], found["successors"], found["level"]) == ("merged", [SECOND], "events")
    rows = found["lineage"]
    assert [row["change"] for row in rows] == ["absorbed", "absorbed", "continued"]
    assert [row["load_id"] for row in rows] == loads[::-1]
    assert [row["size"] for row in rows] == [0, 0, 4]
    assert rows[1]["related"] == [{"cluster_id": SECOND, "shared": 4, "of_it": 0.5, "of_this": 1.0}]
    pages = api.pages(f"clusters/{FIRST}/lineage", limit=1)
    assert [row for page in pages for row in page["lineage"]] == rows


def test_look_ups_at_an_earlier_moment(api: Api, loads: list[int], results: Results) -> None:
    start = datetime.now(UTC) - timedelta(days=10)
    for publication, load_id in enumerate(loads, start=1):
        moved = start + timedelta(days=publication)
        set_time = "UPDATE stage4.publications SET moved_at = %s WHERE load_id = %s"
        change(results, set_time, moved, load_id)
    for day, load_id in ((1, loads[0]), (1.5, loads[0]), (2.2, loads[1]), (9, loads[2])):
        at = (start + timedelta(days=day)).isoformat()
        assert api.get("clusters", level="events", published_at=at)["load_id"] == load_id
        assert api.get(f"clusters/{MAIN}", published_at=at)["load_id"] == load_id
        assert api.get(f"clusters/{MAIN}/members", published_at=at)["load_id"] == load_id
        assert api.get(f"clusters/{MAIN}/similar", published_at=at)["load_id"] == load_id
        assert api.get("items/events/doc_021_item_0", published_at=at)["load_id"] == load_id
        assert api.search(level="events", published_at=at)["load_id"] == load_id
        pages = api.pages("clusters", level="events", published_at=at, limit=2)
        assert {page["load_id"] for page in pages} == {load_id}
        assert api.ask("GET", "map/events", params={"published_at": at}).status_code == 404
    first = start + timedelta(days=1.5)
    assert api.get(f"clusters/{FIRST}", published_at=first.isoformat())["size"] == 4
    early = api.ask("GET", "clusters", params={"level": "events", "published_at": start})
    assert (early.status_code, "was published by" in early.json()["detail"]) == (404, True)
    both = {"level": "events", "published_at": first, "load_id": 1}
    assert api.ask("GET", "clusters", params=both).status_code == 422
    naive = {"level": "events", "published_at": "2026-03-01T00:00:00"}
    assert api.ask("GET", "clusters", params=naive).status_code == 422
    change(results, "DELETE FROM stage4.runs WHERE load_id = %s", loads[0])
    gone = api.ask("GET", "clusters", params={"level": "events", "published_at": first})
    assert (gone.status_code, "has been removed" in gone.json()["detail"]) == (410, True)


def test_the_changes_of_ids_between_two_loads(api: Api, loads: list[int]) -> None:
    pages = api.pages("runs/events/changes", base=loads[0], limit=2)
    rows: list[Json] = [row for page in pages for row in page["changes"]]
    gone = {FIRST: "merged", SECOND: "merged", SPLIT: "split", DORMANT: "dormant"}
    found = {row["cluster_id"]: row["change"] for row in rows}
    assert found == gone | {MAIN: "changed", LEFT: "born", RIGHT: "born"}
    by_id = {row["cluster_id"]: row for row in rows}
    assert list(by_id) == sorted(by_id)
    names = ("size_before", "size", "shared", "successors")
    assert [by_id[MAIN][name] for name in names] == [6, 14, 6, []]
    assert (by_id[SPLIT]["size"], by_id[SPLIT]["successors"]) == (None, [LEFT, RIGHT])
    assert by_id[LEFT]["size_before"] is None
    born = api.get("runs/events/changes", base=loads[0], other=loads[2], change="born")
    assert [row["cluster_id"] for row in born["changes"]] == [LEFT, RIGHT]
    same = api.ask("GET", f"runs/events/changes?base={loads[0]}&other={loads[0]}")
    assert same.status_code == 422


def test_who_may_not_read_a_level_learns_nothing_of_its_ids(api: Api) -> None:
    for what in ("", "/lineage"):
        answer = api.client.get(f"clusters/{FIRST}{what}")
        assert answer.status_code == 401


@pytest.mark.parametrize("text", ["1767225600", "-1", "1e30", "0.5", "inf", "nan"])
def test_a_moment_is_a_time_and_no_number(api: Api, text: str) -> None:
    for path in ("clusters?level=events&", f"clusters/{MAIN}?"):
        answer = api.ask("GET", f"{path}published_at={text}")
        assert answer.status_code == 422, answer.text
    body = {"level": "events", "published_at": 1767225600}
    assert api.ask("POST", "clusters/search", json=body).status_code == 422


@pytest.mark.parametrize("what", ["changes", "compare"])
def test_a_cursor_of_another_comparison_is_refused(api: Api, what: str) -> None:
    first = api.get(f"runs/events/{what}", base=1, other=2, limit=1)
    following = {"base": 1, "limit": 1, "cursor": first["next_cursor"]}
    refused = api.ask("GET", f"runs/events/{what}", params=following | {"other": 3})
    assert refused.status_code == 422
    assert "belongs to a list with `other`=2" in refused.json()["detail"]
    assert api.get(f"runs/events/{what}", **following)["other"] == 2
    assert api.get(f"runs/events/{what}", **following, other=2)["other"] == 2
