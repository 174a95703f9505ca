"""A cluster's page follows its id, in a real browser: history, former ids, ids that are gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from clustering_tasks.settings.deployment import deployment
from tests.browser import fits, needs_browser, shoot
from tests.integration.api.pages_server import listening, logged_in
from tests.integration.conftest import Results
from tests.integration.identified import DORMANT, FIRST, LEFT, MAIN, RIGHT, SPLIT, show, three_runs

pytestmark = [needs_browser, pytest.mark.usefixtures("airflow_metadata")]


@pytest.fixture
def page(
    results: Results, tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """A page of somebody who is logged in, where three runs were published."""
    for run in three_runs(tmp_path):
        run.release()
    monkeypatch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "100000")
    deployment.cache_clear()
    with listening() as address, logged_in(browser, address) as opened:
        yield opened
    deployment.cache_clear()


def open_cluster(page: Page, name: str) -> None:
    page.goto(f"explorer?level=events&view=timeline&cluster={name}")
    expect(page.locator("#panel h2")).to_be_visible()


def test_a_cluster_shows_its_history(page: Page) -> None:
    open_cluster(page, MAIN)
    rows = page.locator("#panel .history > li")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("continued, 14 members")
    expect(rows.first).to_contain_text("1 Mar 2026")
    rows.first.locator("summary").click()
    expect(rows.first).to_contain_text("cluster_events.run__3")
    assert fits(page)
    shoot(page, "history", full_page=True)


def test_a_former_id_leads_to_the_cluster_that_it_went_into(page: Page) -> None:
    open_cluster(page, FIRST)
    expect(page.locator("#panel h2")).to_have_text(f"label of {MAIN}")
    expect(page.locator("#panel .note")).to_have_text(f"{FIRST} went into this cluster.")
    expect(page.locator("#panel .members > li")).to_have_count(14)
    assert f"cluster={MAIN}" in page.url
    shoot(page, "former")


def test_a_split_id_names_its_parts_to_open(page: Page) -> None:
    open_cluster(page, SPLIT)
    expect(page.locator("#panel .note")).to_contain_text("was split")
    parts = page.locator("#panel .clusters [data-cluster]")
    expect(parts).to_have_count(2)
    shoot(page, "split")
    parts.first.click()
    expect(page.locator("#panel h2")).to_have_text(f"label of {RIGHT}")


def test_an_id_that_is_gone_says_so_with_its_history(page: Page) -> None:
    open_cluster(page, DORMANT)
    expect(page.locator("#panel .note")).to_contain_text("a later run may have it again")
    expect(page.locator("#panel .history > li").first).to_contain_text("dormant")
    show("events", 1, "roll_back")
    open_cluster(page, LEFT)
    expect(page.locator("#panel .note")).to_contain_text("has ended")
    row = page.locator("#panel .history > li").first
    row.locator("summary").click()
    expect(row).to_contain_text("withdrawn by a roll-back")
    shoot(page, "gone")
