"""Tags and trends on the explorer's pages, in a real browser, over the sample corpus."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from stage4.database.load import load_run
from tests.browser import fits, needs_browser, shoot
from tests.integration.api.conftest import Corpus, Json
from tests.integration.api.pages_server import listening, logged_in
from tests.integration.conftest import Results
from tests.integration.identified import show
from tests.integration.label_files import Label, report_of

pytestmark = [needs_browser, pytest.mark.usefixtures("airflow_metadata")]


@pytest.fixture(scope="module")
def page(corpus: Corpus, browser: Browser) -> Iterator[Page]:
    with listening() as address, logged_in(browser, address) as opened:
        yield opened


def tagged(corpus: Corpus) -> Json:
    """A cluster of documents whose members got tags."""
    records = corpus.runs["documents"].records.values()
    return max(records, key=lambda record: len(record["member_tags"]))


def test_a_cluster_shows_its_tags_and_a_tag_its_clusters(page: Page, corpus: Corpus) -> None:
    record = tagged(corpus)
    page.goto(f"explorer?level=documents&view=timeline&cluster={record['cluster_id']}")
    section = page.locator("#panel section", has=page.get_by_role("heading", name="Tags"))
    chips = section.locator(".chips button")
    expect(chips).to_have_count(len(record["tags"]))
    first = record["tags"][0]
    expect(chips.first).to_contain_text(first["tag"])
    expect(chips.first).to_contain_text(f"{100 * first['confidence']:.1f} %")
    assert fits(page)
    shoot(page, "tags", full_page=True)
    chips.first.click()
    expect(page.locator("#panel h2")).to_have_text(f"Tagged {first['tag']}")
    names = {
        name
        for name, each in corpus.runs["documents"].records.items()
        if first["tag"] in [tag["tag"] for tag in each["tags"]]
    }
    expect(page.locator("#panel [data-cluster]")).to_have_count(min(len(names), 50))
    assert "tag=" in page.url


def test_a_member_names_the_tags_that_it_got(page: Page, corpus: Corpus) -> None:
    record = tagged(corpus)
    page.goto(f"explorer?level=documents&view=timeline&cluster={record['cluster_id']}")
    got = page.locator("#panel .members p", has_text="got the tags").first
    expect(got).to_be_attached()
    text = got.text_content() or ""
    assert any(f"{each['tag']} (" in text for each in record["member_tags"])


@pytest.mark.parametrize("level", LEVELS)
def test_trends_are_two_lists(page: Page, corpus: Corpus, level: str) -> None:
    page.goto(f"explorer?level={level}&view=trends")
    trends = page.locator("#trends")
    expect(trends.get_by_role("heading")).to_have_count(2)
    for state, at in (("growing", 0), ("fading", 1)):
        records = corpus.runs[level].records.values()
        count = sum((each["trend"] or {}).get("state") == state for each in records)
        rows = trends.locator("section").nth(at).locator("[data-cluster]")
        expect(rows).to_have_count(min(count, 12))
    assert fits(page)
    shoot(page, f"trends-{level}", full_page=True)
    page.get_by_role("button", name="Map").click()
    expect(trends).to_be_hidden()


@dataclass(frozen=True)
class Moving(Label):
    """A run whose first clusters grow, and whose last one has ended."""

    def cluster_rows(self) -> Iterator[Json]:
        for number, row in enumerate(super().cluster_rows()):
            moves: Json = {"trend": "growing", "rate": 2.5, "earlier_rate": 0.5}
            if number == self.clusters - 1:
                moves = {"trend": "fading", "rate": 0, "earlier_rate": 0}
            yield row | moves | {"growth": 1.0 + number, "label": f"cluster {number}"}


def trends_of(page: Page, *changes: Json) -> Any:
    ended = {"trend": "fading", "rate": 0, "earlier_rate": 0, "start_time": "2025-12-10T00:00:00Z"}
    return page.evaluate(
        """async (all) => {
          const { trendOf } = await import("./static/cluster.js");
          return all.map(trendOf);
        }""",
        [ended | {"end_time": None} | change for change in changes],
    )


def test_growing_clusters_come_with_the_surest_first(
    results: Results, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Moving(tmp_path, clusters=4).write()
    load_id = load_run(made["files"], report_of(made))["load_id"]
    show("events", load_id)
    monkeypatch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "100000")
    deployment.cache_clear()
    with listening() as address, logged_in(browser, address) as page:
        page.goto("explorer?level=events&view=trends")
        growing = page.locator("#trends section").first.locator("li")
        expect(growing).to_have_count(3)
        expect(growing.first).to_contain_text("cluster 2")
        expect(growing.first).to_contain_text("growing: 2.500 a day, 0.500 before")
        ended = page.locator("#trends section").last.locator("li")
        expect(ended).to_contain_text("cluster 3")
        expect(ended).to_contain_text("ended, last item 10 Dec 2025")
        ended.locator("[data-cluster]").click()
        expect(page.locator("#panel dl")).to_contain_text("ended, last item 10 Dec 2025")
        assert trends_of(page, {"rate": 0, "earlier_rate": 1.5}, {"start_time": None}) == [
            "fading: 0.000 a day, 1.500 before",
            "ended",
        ]
        assert trends_of(page, {"end_time": "9999-01-01T00:00:00Z"}) == ["ended"]  # a time span
        shoot(page, "growing", full_page=True)
    deployment.cache_clear()
