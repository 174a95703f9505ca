"""The pages in a real browser, with a real API and database behind them."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from psycopg.sql import SQL, Literal

from clustering_tasks.stage3.text import visible
from stage4.database.load import load_run
from tests.browser import DESKTOP, PHONE, fits, needs_browser, shoot
from tests.integration.api.airflow_rows import (
    enter_idle_settings,
    enter_parts,
    enter_runs,
    remove_parts,
    remove_runs,
)
from tests.integration.api.conftest import Corpus, Json, token
from tests.integration.api.pages_server import BELOW, listening
from tests.integration.label_files import Label, report_of

HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
    "\"'`&amp; \u202eright to left\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629 {{ 7 * 7 }} "
)

pytestmark = needs_browser


@pytest.fixture(scope="module")
def address(corpus: Corpus, airflow_metadata: None) -> Iterator[str]:
    with listening() as found:
        yield found


@pytest.fixture(params=["desktop", "phone"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of somebody who is logged in; nothing may go wrong in it."""
    phone = request.param == "phone"
    context = browser.new_context(
        viewport=PHONE if phone else DESKTOP,
        has_touch=phone,
        color_scheme="dark" if phone else "light",
    )
    context.add_cookies([{"name": "_token", "value": token(), "url": address}])
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    yield opened
    shoot(opened, request.node.originalname)
    context.close()
    assert wrong == []


def test_the_dashboard_shows_every_level(page: Page, address: str, corpus: Corpus) -> None:
    page.goto(f"{address}/dashboard")
    for level, run in corpus.runs.items():
        section = page.locator(f"[data-level={level}]")
        clusters = section.locator("dl div", has_text="clusters").first
        expect(clusters).to_contain_text(str(len(run.records)))
        expect(section.locator("figure")).to_have_count(4)
        expect(section.locator("dl div", has_text="errors")).to_have_text("errors0")
        expect(section.locator("dl div", has_text="tag conflicts")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#runs")).to_contain_text("No run yet.")
    expect(page.locator("#error")).to_be_hidden()
    assert fits(page)
    shoot(page, "dashboard", full_page=True)


@pytest.fixture
def failing_run(airflow_metadata: None) -> Iterator[None]:
    """A run of which one part has failed and one is at work, and one that has failed."""
    enter_runs([("cluster_events", "earlier", "failed"), ("cluster_events", "now", "running")])
    enter_parts("cluster_events", "now", "success", "failed", "running")
    yield
    remove_parts()
    remove_runs()


def test_the_dashboard_shows_how_far_a_run_is(page: Page, address: str, failing_run: None) -> None:
    page.goto(f"{address}/dashboard")
    job = page.locator("#running .job")
    expect(job).to_contain_text("60 of 100 items, 1 part failed")
    expect(job.locator(".task.failed")).to_contain_text("cluster")
    expect(page.locator("#runs .state.failed")).to_be_visible()
    assert fits(page)
    idle = {"setting": "kmeans.k", "value": 4, "reason": "acts only where algorithm is kmeans"}
    enter_idle_settings("cluster_events", "now", [idle])
    expect(job.locator(".idle")).to_have_text(
        "kmeans.k=4 has no effect: it acts only where algorithm is kmeans"
    )


def test_a_run_is_acted_on_from_the_dashboard(page: Page, address: str, failing_run: None) -> None:
    page.context.add_cookies([{"name": "_token", "value": token("user", "uma"), "url": address}])
    page.goto(f"{address}/dashboard")
    job = page.locator("#running .job")
    expect(page.locator("#runs .acts button")).to_have_text(["retry"])
    expect(job.locator(".acts button")).to_have_text(["pause", "pause now", "cancel"])
    job.get_by_role("button", name="pause", exact=True).click()
    expect(job.locator(".state")).to_have_text("paused")
    expect(job.locator(".acts button")).to_have_text(["resume", "cancel"])
    job.get_by_role("button", name="cancel").click()
    expect(job.locator(".acts button")).to_have_text(["resume", "cancel for good?"])
    job.get_by_role("button", name="resume").click()
    expect(job.locator(".state")).to_have_text("running")
    assert fits(page)


def test_a_cluster_is_found_and_opened(page: Page, address: str, corpus: Corpus) -> None:
    largest = max(corpus.runs["events"].records.values(), key=lambda each: each["cluster_size"])
    page.goto(f"{address}/explorer")
    expect(page.locator("#points")).to_have_text(
        re.compile(
            r"^[\d,]+ clusters \(circles\) and [\d,]+ of their members \(dots\): [\d,]+ points"
        )
    )
    shoot(page, "map")
    page.fill("#text", str(largest["keywords"][0]))
    page.keyboard.press("Enter")
    page.locator(f"#panel [data-cluster={largest['cluster_id']}]").click()
    expect(page.locator("#panel h2")).to_have_text(largest["cluster_label"])
    for place, names in enumerate((largest["key_phrases"], largest["keywords"][:3])):
        for name in names:
            expect(page.locator("#panel .chips").nth(place)).to_contain_text(name)
    members = page.locator("#panel .members > li")
    expect(members).to_have_count(min(20, largest["cluster_size"]))
    assert f"cluster={largest['cluster_id']}" in page.url
    assert fits(page)
    near = page.locator("#panel .clusters button").first
    label = near.locator(".text").inner_text()
    near.click()
    expect(page.locator("#panel h2")).to_have_text(label)
    page.go_back()
    expect(page.locator("#panel h2")).to_have_text(largest["cluster_label"])


def test_the_map_works_by_keyboard(page: Page, address: str) -> None:
    page.goto(f"{address}/explorer?level=entities")
    expect(page.locator("#points")).to_contain_text("points")
    before = page.locator("#points").inner_text()
    page.focus("#canvas")
    for key in ["+"] * 8:
        page.keyboard.press(key)
    expect(page.locator("#points")).not_to_have_text(before)
    page.keyboard.press("0")
    expect(page.locator("#points")).to_have_text(before)
    page.keyboard.press("Enter")
    expect(page.locator("#panel h2")).to_be_visible()
    page.locator("[data-level=storylines]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("[data-level=storylines]")).to_have_attribute("aria-pressed", "true")


def test_the_timeline_opens_clusters(page: Page, address: str) -> None:
    page.goto(f"{address}/explorer?level=documents")
    page.locator("[data-view=timeline]").click()
    bar = page.locator("rect.span").first
    label = str(bar.get_attribute("aria-label"))
    bar.focus()
    page.keyboard.press("Enter")
    title = page.locator("#panel h2")
    expect(title).to_be_visible()
    assert label.startswith(title.inner_text())
    assert fits(page)


@pytest.fixture(scope="module")
def hostile(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    """A run whose every text attacks the page; published it is not."""
    folder = tmp_path_factory.mktemp("hostile")
    written = Label(
        folder, level="storylines", job_id="cluster_storylines.hostile__1", text=HOSTILE * 60
    )
    label = written.write()
    clusters = [row["cluster_id"] for row in written.cluster_rows()]
    lines = [f'{n},"cluster","{name}",,0.{n},0,{written.size}' for n, name in enumerate(clusters)]
    points = folder / "points.csv"
    points.write_text("\n".join(['"rank","kind","cluster_id","vector_id","x","y","size"', *lines]))
    files = label["files"] | {"points_csv": str(points)}
    load_id = load_run(files, report_of(label))["load_id"]
    titled = json.dumps([{"id": HOSTILE, "title": HOSTILE * 100, "similarity": 0.5}])
    with corpus.results.server.connect(corpus.results.database) as connection:
        connection.execute(
            SQL("UPDATE stage4.clusters SET representatives = {} WHERE load_id = {}").format(
                Literal(titled), Literal(load_id)
            )
        )
        yield {"load_id": load_id, "clusters": clusters}
        connection.execute(SQL("DELETE FROM stage4.runs WHERE load_id = {}").format(load_id))


def test_hostile_titles_stay_texts(page: Page, address: str, hostile: Json) -> None:
    page.goto(f"{address}/explorer?level=storylines&load_id={hostile['load_id']}")
    first = page.locator("#list [data-cluster]").first
    expect(first).to_contain_text("<script>")
    first.click()
    expect(page.locator("#panel h2")).to_contain_text("<img src=x onerror=")
    expect(page.locator("#panel .members")).to_contain_text("{{ 7 * 7 }}")
    assert "\u202e" not in page.locator("body").inner_text()
    page.locator("#panel .members summary").first.click()
    assert "\u202e" not in page.locator("#panel pre").first.inner_text()
    page.locator("#panel .chips button").first.click()
    expect(page.locator("#panel")).to_contain_text("Found for")
    page.locator("[data-view=timeline]").click()
    expect(page.locator("rect.span").first).to_be_visible()
    assert "owned" not in page.title()
    assert page.locator("main script, main img").count() == 0
    assert fits(page)


def test_the_pages_remove_what_the_terminal_removes(page: Page, address: str) -> None:
    page.goto(f"{address}/dashboard")
    shown = page.evaluate(
        """async () => {
          const { visible } = await import("./static/dom.js");
          const kept = [];
          for (let code = 0; code <= 0x10ffff; code++) {
            if (code < 0xd800 || code > 0xdfff) {
              if (visible(String.fromCodePoint(code)) === "") kept.push(code);
            }
          }
          return kept;
        }"""
    )
    codes = (code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    joiners = {0x200C, 0x200D}  # a terminal has no letter before them here
    assert set(shown) == {code for code in codes if not visible(chr(code))} - joiners


@pytest.fixture
def unpublished(corpus: Corpus) -> Iterator[str]:
    """A level of which readers see no run."""
    with corpus.results.server.connect(corpus.results.database) as connection:
        query = "SELECT load_id FROM stage4.published WHERE level = 'entities'"
        before = connection.execute(query).fetchone()
        assert before is not None
        move = SQL("UPDATE stage4.published SET load_id = {} WHERE level = 'entities'")
        connection.execute(move.format(Literal(None)))
        yield "entities"
        connection.execute(move.format(Literal(before[0])))


@pytest.mark.parametrize("view", ["map", "timeline"])
def test_a_level_without_a_run_shows_nothing_of_another(
    browser: Browser, address: str, unpublished: str, view: str
) -> None:
    context = browser.new_context(viewport=PHONE)
    context.add_cookies([{"name": "_token", "value": token(), "url": address}])
    page = context.new_page()
    page.goto(f"{address}/explorer?level=events&view={view}")
    listed = page.locator("#list [data-cluster]")
    expect(listed.first).to_be_visible()
    page.locator(f"[data-level={unpublished}]").click()
    expect(page.locator("#error")).to_contain_text("No run of entities is published yet")
    expect(listed).to_have_count(0)
    expect(page.locator("rect.span, #legend span")).to_have_count(0)
    shoot(page, f"unpublished-{view}")
    page.locator("[data-level=events]").click()
    expect(listed.first).to_be_visible()
    expect(page.locator("#error")).to_be_hidden()
    page.goto(f"{address}/explorer?level={unpublished}&q=peace")
    panel = page.locator("#panel")
    expect(panel).to_contain_text("No run of entities is published yet")
    panel.locator(".close").click()
    expect(panel).to_be_hidden()
    page.goto(f"{address}/dashboard")
    section = page.locator(f"[data-level={unpublished}]")
    expect(section).to_contain_text(f"No run yet: start the DAG cluster_{unpublished}.")
    assert fits(page)
    context.close()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("failed", "the newest run failed; the logs of its failed tasks name the cause"),
        ("running", "the newest run is running"),
        ("success", "the newest run has completed; see its task publish"),
    ],
)
def test_a_level_without_a_published_run_says_what_became_of_the_newest(
    browser: Browser,
    address: str,
    unpublished: str,
    airflow_metadata: None,
    state: str,
    text: str,
) -> None:
    enter_runs(
        [(f"cluster_{unpublished}", "older", "failed"), (f"cluster_{unpublished}", "x", state)]
    )
    context = browser.new_context(viewport=PHONE)
    context.add_cookies([{"name": "_token", "value": token(), "url": address}])
    page = context.new_page()
    page.goto(f"{address}/dashboard")
    section = page.locator(f"[data-level={unpublished}]")
    expect(section).to_contain_text(text)
    expect(section).not_to_contain_text("start the DAG")
    context.close()
    remove_runs()


@pytest.fixture
def forgotten(corpus: Corpus) -> Iterator[None]:
    """A test finds no correction of another file's tests, and leaves none."""
    forget_corrections(corpus)
    yield
    forget_corrections(corpus)


def forget_corrections(corpus: Corpus) -> None:
    with corpus.results.server.connect(corpus.results.database) as connection:
        connection.execute("DELETE FROM stage4.corrections")


def clusters_page(browser: Browser, address: str, role: str, cluster: str) -> Page:
    context = browser.new_context(viewport=DESKTOP)
    context.add_cookies([{"name": "_token", "value": token(role), "url": address}])
    page = context.new_page()
    page.goto(f"{address}/explorer?level=events&cluster={cluster}")
    expect(page.locator("#panel h3", has_text="Corrections")).to_be_visible()
    return page


def test_a_cluster_is_corrected_on_its_page(
    browser: Browser, address: str, corpus: Corpus, forgotten: None
) -> None:
    largest = max(corpus.runs["events"].records.values(), key=lambda each: each["cluster_size"])
    page = clusters_page(browser, address, "user", largest["cluster_id"])
    rows, status = page.locator("#panel .corrections > li"), page.locator("#panel [role=status]")
    page.fill("#reason", HOSTILE)
    page.fill("#new-label", "The <i>vote</i>")
    page.get_by_role("button", name="Rename").click()
    expect(status).to_contain_text("holds from the next run on")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("The vote")
    assert page.title() != "owned"
    assert page.locator("#panel .corrections img, #panel .corrections script").count() == 0
    page.get_by_role("button", name="Pin").click()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Pin").click()
    expect(status).to_contain_text("holds already: nothing is to be done")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Hide").click()
    expect(status).to_contain_text("contradicts correction")
    page.locator("#panel .members summary").first.click()
    leave = page.get_by_role("button", name="Does not belong").first
    leave.click()
    page.get_by_role("button", name="Yes: does not belong").click()
    expect(rows).to_have_count(3)
    same = page.locator("#panel .act", has_text="Same story").first
    same.get_by_role("button", name="Same story").click()
    shoot(page, "question")
    same.get_by_role("button", name="No", exact=True).click()
    expect(page.locator("#panel .question")).to_have_count(0)
    expect(rows).to_have_count(3)
    same.get_by_role("button", name="Same story").click()
    same.get_by_role("button", name="Yes: same story").click()
    expect(same.locator("[role=status]")).to_contain_text("holds from the next run on")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text(f"({largest['cluster_id']})")
    undo = page.get_by_role("button", name="Undo correction").first.bounding_box()
    assert undo is not None
    assert undo["height"] < 50
    assert fits(page)
    shoot(page, "corrections")
    page.get_by_role("button", name="Undo correction").first.click()
    expect(status).to_contain_text("is undone from the next run on")
    expect(rows).to_have_count(4)
    expect(page.get_by_role("button", name="Undo correction")).to_have_count(3)
    page.context.close()


def test_a_name_of_nothing_is_refused_with_what_is_wrong(
    browser: Browser, address: str, corpus: Corpus, forgotten: None
) -> None:
    page = clusters_page(browser, address, "user", next(iter(corpus.runs["events"].records)))
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("#panel [role=status]")).to_contain_text("body.label: ")
    name = page.locator("#panel h2").inner_text()
    page.fill("#new-label", name)
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("#panel [role=status]")).to_contain_text(f"is called `{name[:40]}")
    expect(page.locator("#panel .corrections > li")).to_have_count(0)
    page.context.close()


def test_a_hidden_cluster_leaves_the_lists_at_once(
    browser: Browser, address: str, corpus: Corpus, forgotten: None
) -> None:
    largest = max(corpus.runs["events"].records.values(), key=lambda each: each["cluster_size"])
    page = clusters_page(browser, address, "user", largest["cluster_id"])
    listed = page.locator(f"#list [data-cluster={largest['cluster_id']}]")
    expect(listed).to_be_visible()
    before = page.locator("#points").inner_text()
    page.get_by_role("button", name="Hide").click()
    expect(listed).to_have_count(0)
    expect(page.locator("#points")).to_have_text(before)
    page.reload()
    expect(page.locator("#list [data-cluster]").first).to_be_visible()
    expect(listed).to_have_count(0)
    page.context.close()


def test_a_domain_has_the_same_colour_in_every_view(page: Page, address: str) -> None:
    page.goto(f"{address}/explorer?level=events")
    expect(page.locator("#legend span").first).to_be_visible()
    colours = page.evaluate(
        """async () => {
          const { colours } = await import("./static/colours.js");
          const one = colours(["general_news", "legal_judicial", "legal_judicial", "tides", null]);
          const other = colours(["legal_judicial", "political_events"]);
          const named = one.legend.map(({ name }) => name);
          return [named, one.of("legal_judicial") === other.of("legal_judicial"),
            one.of("tides") === one.legend.at(-1).colour];
        }"""
    )
    assert colours == [["legal_judicial", "general_news", "other"], True, True]


def test_a_reader_is_told_that_the_right_is_missing(
    browser: Browser, address: str, corpus: Corpus, forgotten: None
) -> None:
    page = clusters_page(browser, address, "viewer", next(iter(corpus.runs["events"].records)))
    page.get_by_role("button", name="Pin").click()
    expect(page.locator("#panel [role=status]")).to_contain_text("You may not start runs")
    expect(page.locator("#panel .corrections > li")).to_have_count(0)
    page.context.close()


def test_an_earlier_run_has_nothing_to_correct(
    browser: Browser, address: str, corpus: Corpus
) -> None:
    earlier = corpus.earlier
    context = browser.new_context(viewport=DESKTOP)
    context.add_cookies([{"name": "_token", "value": token("user"), "url": address}])
    page = context.new_page()
    cluster = next(iter(earlier.records))
    page.goto(f"{address}/explorer?level=events&load_id={earlier.load_id}&cluster={cluster}")
    expect(page.locator("#panel h2")).to_be_visible()
    expect(page.locator("#panel .corrections")).to_have_count(0)
    context.close()


def test_nobody_sees_a_page_without_logging_in(address: str) -> None:
    html = {"Accept": "text/html"}
    with httpx.Client(trust_env=False) as stranger:
        sent = stranger.get(f"{address}/explorer?level=events", headers=html)
        assert sent.status_code == 303
        expected = f"{BELOW}/api/v2/auth/login?next="
        assert sent.headers["location"].startswith(expected)
        assert sent.headers["location"].endswith("explorer%3Flevel%3Devents")
        for path in ("dashboard", "progress", "static/map.js", "runs/cluster_events/x", "no"):
            answer = stranger.get(f"{address}/{path}")
            assert answer.status_code == 401
            assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_runs_page_leads_to_its_clusters(address: str, corpus: Corpus) -> None:
    with httpx.Client(trust_env=False, cookies={"_token": token()}) as user:
        sent = user.get(f"{address}/runs/cluster_events/manual__2026-03-01T00:00:00+00:00")
        assert sent.headers["location"].startswith(
            "../../explorer?level=events&job=cluster_events."
        )
        sent = user.get(f"{address}/runs/cluster_all/x", follow_redirects=True)
        assert sent.url.path.endswith("/stage4/pages/dashboard")
        policy = sent.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert user.get(f"{address}/static/../app.py").status_code == 404
        assert user.get(f"{address}/static/%2e%2e/app.py").status_code == 404


def test_progress_is_for_those_who_may_read_the_dags(address: str) -> None:
    with httpx.Client(trust_env=False) as client:
        mine = {"Authorization": f"Bearer {token(None)}"}
        assert client.get(f"{address}/progress", headers=mine).status_code == 403
        mine = {"Authorization": f"Bearer {token()}"}
        with client.stream("GET", f"{address}/progress", headers=mine) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert [next(lines) for _ in range(3)] == ["retry: 1000", "", "event: jobs"]
            field, _, jobs = next(lines).partition(": ")
            assert field == "data"
            assert isinstance(json.loads(jobs), list)  # other tests have left jobs
