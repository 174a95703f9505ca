"""Dashboard and explorer as a person meets them: from Airflow's login on, in a real browser."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, ViewportSize, expect

from local.configuration import USER
from tests.browser import DESKTOP, PHONE, fits, launched, needs_browser, shoot
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published

SLOW_MS = 60_000  # Airflow's own pages take their time on a loaded machine

pytestmark = [pytest.mark.airflow, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


def log_in(browser: Browser, airflow: Airflow, size: ViewportSize, path: str = "/") -> Page:
    """Open a page, which leads to the login first."""
    context = browser.new_context(viewport=size)
    context.set_default_timeout(SLOW_MS)
    page = context.new_page()
    page.goto(airflow.base_url + path)
    page.fill("input[name=username]", USER)
    page.fill("input[name=password]", airflow.stack.state.secrets().password)
    page.keyboard.press("Enter")
    return page


def browse(page: Page, name: str) -> FrameLocator:
    """Open one of the pages from Airflow's navigation."""
    page.get_by_role("button", name="Browse").first.click()
    page.get_by_role("menuitem", name=name, exact=True).click()
    return page.frame_locator(f"iframe[title='{name}']")


def test_a_run_is_followed_and_its_clusters_explored(browser: Browser, airflow: Airflow) -> None:
    page = log_in(browser, airflow, DESKTOP)
    frame = browse(page, "Clustering runs")
    expect(frame.locator("#live")).to_have_text("live", timeout=SLOW_MS)
    run: dict[str, Any] = airflow.api.trigger("cluster_documents")
    job = frame.locator(".job", has_text="documents")
    expect(job.locator("progress")).to_be_visible(timeout=SLOW_MS)
    shoot(page, "e2e-running")
    assert airflow.api.wait("cluster_documents", run["dag_run_id"])["state"] == "success"
    expect(job).to_have_count(0, timeout=SLOW_MS)
    newest = frame.locator("#runs tbody tr", has_text="documents").first
    expect(newest).to_contain_text("completed", timeout=SLOW_MS)
    clusters = published(airflow, "documents").counts["clusters"]
    fact = frame.locator("[data-level=documents] dl div", has_text="clusters").first
    expect(fact).to_contain_text(str(clusters), timeout=SLOW_MS)
    shoot(page, "e2e-dashboard")

    frame = browse(page, "Clusters")
    expect(frame.locator("#levels [aria-pressed=true]")).to_have_count(1, timeout=SLOW_MS)
    frame.locator("[data-level=documents]").click()
    expect(frame.locator("#points")).to_contain_text("points", timeout=SLOW_MS)
    label = frame.locator("#list .text").first.inner_text()
    frame.locator("#text").fill(max(re.findall(r"\w+", label), key=len))
    frame.locator("#text").press("Enter")
    frame.locator("#panel [data-cluster]").first.click()
    expect(frame.locator("#panel .members > li").first).to_be_visible(timeout=SLOW_MS)
    shoot(page, "e2e-explorer")

    page.goto(f"{airflow.base_url}/dags/cluster_documents/runs/{run['dag_run_id']}")
    page.get_by_role("link", name="Clusters", exact=True).click()
    frame = page.frame_locator("iframe[title='Clusters']")
    expect(frame.locator("#which")).to_contain_text(f"{clusters} clusters", timeout=SLOW_MS)
    shoot(page, "e2e-run")
    page.context.close()


def test_the_pages_lead_through_the_login_on_a_phone(browser: Browser, airflow: Airflow) -> None:
    page = log_in(browser, airflow, PHONE, "/stage4/pages/dashboard")
    expect(page.locator("#live")).to_have_text("live", timeout=SLOW_MS)
    assert fits(page)
    shoot(page, "e2e-phone")
    page.context.close()
