"""Runs that are published and removed while somebody reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.settings.deployment import deployment
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from tests.integration.api.conftest import Api, bearer, serving
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of

pytestmark = pytest.mark.usefixtures("airflow_metadata", "workspace")


@pytest.fixture
def api(results: Results) -> Iterator[Api]:
    """The API on an empty database."""
    with serving() as client:
        yield Api(client, bearer())


def load(label: Label, *, publish: bool = True) -> int:
    files = label.write()
    report = report_of(files)
    loaded = load_run(files["files"], report)
    if publish:
        with locked_pointer(report.level) as pointer:
            pointer.move(pointer.find(report.job_id))
    load_id: int = loaded["load_id"]
    return load_id


def test_before_the_first_publication(api: Api, tmp_path: Path) -> None:
    load(Label(tmp_path), publish=False)
    for path in ("clusters?level=events", "clusters/event_000000000001", "items/events/doc_1"):
        answer = api.ask("GET", path)
        assert answer.status_code == 404
    assert "published" in answer.json()["detail"]
    assert api.get("runs")["runs"][0]["state"] == "loaded"
    assert api.get("statistics")["clusters"] == 0
    assert api.ask("GET", "metrics/events").status_code == 404
    assert api.ask("GET", "documents/doc_001/clusters").status_code == 404


def test_a_run_that_was_never_published_is_read_by_its_number(api: Api, tmp_path: Path) -> None:
    run = load(Label(tmp_path), publish=False)
    assert len(api.get("clusters", level="events", load_id=run)["clusters"]) == 3


def test_paging_goes_on_in_the_run_that_it_began_in(api: Api, tmp_path: Path) -> None:
    first = Label(tmp_path, clusters=5)
    began = load(first)
    page = api.get("clusters", level="events", limit=2)
    newer = load(first.later(clusters=9, mark="second"))
    found = [*page["clusters"]]
    while page["next_cursor"]:
        page = api.get("clusters", level="events", limit=2, cursor=page["next_cursor"])
        assert page["load_id"] == began
        found += page["clusters"]
    assert [each["cluster_id"] for each in found] == [f"event_{n:012x}" for n in range(5)]
    assert api.get("clusters", level="events")["load_id"] == newer


def remove(results: Results, load_id: int) -> None:
    """As retention does."""
    with results.server.connect(results.database) as connection:
        connection.execute("DELETE FROM stage4.runs WHERE load_id = %s", [load_id])
        connection.execute(f"DROP TABLE stage4.members_{load_id}, stage4.clusters_{load_id}")


def test_a_removed_run_is_gone(api: Api, results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path)
    old = load(label)
    cursor = api.get("clusters", level="events", limit=1)["next_cursor"]
    load(label.later())
    remove(results, old)
    answer = api.ask("GET", "clusters", params={"level": "events", "limit": 1, "cursor": cursor})
    assert answer.status_code == 410
    assert "begin again" in answer.json()["detail"]
    assert api.ask("GET", f"clusters?level=events&load_id={old}").status_code == 404
    assert api.ask("GET", f"runs/events/{old}").status_code == 404


def test_a_run_that_goes_while_it_is_read_is_gone(
    api: Api, results: Results, tmp_path: Path
) -> None:
    run = load(Label(tmp_path))
    with results.server.connect(results.database) as connection:
        connection.execute(f"DROP TABLE stage4.members_{run}, stage4.clusters_{run}")
    answer = api.ask("GET", "clusters?level=events")
    assert answer.status_code == 410


@pytest.mark.parametrize(
    "other",
    [{"order": "label"}, {"level": "documents"}, {"domain": "general_news"}, {"load_id": 1}],
)
def test_a_cursor_of_another_list_is_refused(
    api: Api, tmp_path: Path, other: dict[str, Any]
) -> None:
    load(Label(tmp_path))
    cursor = api.get("clusters", level="events", limit=1)["next_cursor"]
    asked = {"level": "events", "limit": 1, "cursor": cursor} | other
    assert api.ask("GET", "clusters", params=asked).status_code == 422
    assert api.get("clusters", level="events", limit=2, cursor=cursor)["clusters"]


def test_hostile_titles_come_out_as_they_went_in(api: Api, tmp_path: Path) -> None:
    text = "<script>alert(1)</script> \" ' \\ %s {x} \u202e 日本語"
    load(Label(tmp_path, text=text))
    first, second, third = api.pages("clusters", level="events", order="label", limit=1)
    assert {page["clusters"][0]["label"] for page in (first, second, third)} == {text}
    member = api.get("clusters/event_000000000000/members")["members"][0]
    assert member["metadata"]["title"] == text


def test_long_values_are_cut_with_a_mark_and_kept_whole_in_the_database(
    api: Api, results: Results, tmp_path: Path
) -> None:
    text = "word " * 100_000
    run = load(Label(tmp_path, text=text))
    answer = api.ask("GET", "clusters/event_000000000000/members")
    assert len(answer.content) < 4 * 6000
    title = answer.json()["members"][0]["metadata"]["title"]
    assert title.startswith("word word")
    assert title.endswith("… [cut: 500,000 characters]")
    cluster = api.get("clusters/event_000000000000")
    assert cluster["label"] == title
    assert cluster["keywords"][1] == title
    item = api.get("items/events/doc_0000000")
    assert item["metadata"]["title"] == title
    assert item["vectors"] == 1
    with results.server.connect(results.database) as connection:
        query = "SELECT max(length(metadata->>'title')) FROM stage4.members WHERE load_id = %s"
        assert connection.execute(query, [run]).fetchone() == (len(text),)


def test_the_surest_vector_of_an_item_with_several_stands_for_it(
    api: Api, results: Results, tmp_path: Path
) -> None:
    run = load(Label(tmp_path))
    with results.server.connect(results.database) as connection:
        change = "UPDATE stage4.members SET {} WHERE load_id = %s AND {}"
        connection.execute(change.format("probability = 0.9", "vector_id LIKE '%%7'"), [run])
        connection.execute(change.format("source_id = 'chunked'", "true"), [run])
    item = api.get("items/events/chunked")
    assert item["vectors"] == 15
    assert item["probability"] == 0.9
    assert item["vector_id"].endswith("7")
    assert item["status"] == "clustered"


SLOW = """
ALTER TABLE stage4.clusters DETACH PARTITION stage4.clusters_{run};
ALTER TABLE stage4.clusters_{run} RENAME TO kept;
CREATE VIEW stage4.clusters_{run} AS SELECT kept.* FROM stage4.kept, pg_sleep(5);
"""


def test_a_statement_that_takes_too_long(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load(Label(tmp_path))
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute(SLOW.format(run=run))
    monkeypatch.setenv("STAGE4_API_STATEMENT_SECONDS", "0.2")
    deployment.cache_clear()
    with serving() as client:
        answer = Api(client, bearer()).ask("GET", "clusters?level=events")
    assert answer.status_code == 504
    assert "0.2 s" in answer.json()["detail"]
