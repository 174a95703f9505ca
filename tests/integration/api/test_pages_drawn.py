"""What charts and the map draw, in a real browser: labels, axes, keys and the room they take."""

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import DESKTOP, PHONE, fits, needs_browser
from tests.integration.api.conftest import Corpus
from tests.integration.api.pages_server import listening, logged_in

pytestmark = [needs_browser, pytest.mark.usefixtures("airflow_metadata")]

Box = list[float]
WIDTH, HEIGHT = 1268, 612
BUTTONS: Box = [1220, 8, 1261, 115]
PLACED = """async ([circles, buttons, width, height]) => {
  const { placeLabels } = await import("./static/labels.js");
  return placeLabels(circles, [buttons], width, height, (line) => 6.5 * line.length);
}"""


@pytest.fixture(scope="module")
def page(corpus: Corpus, browser: Browser) -> Iterator[Page]:
    with listening() as address, logged_in(browser, address) as opened:
        yield opened


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def circle_box(circle: dict[str, Any]) -> Box:
    x, y, radius = (circle[name] for name in ("x", "y", "radius"))
    return [x - radius, y - radius, x + radius, y + radius]


@pytest.mark.parametrize("seed", range(5))
def test_no_label_of_many_lies_over_another_or_over_a_large_circle(page: Page, seed: int) -> None:
    chance = random.Random(seed)
    words = ["floods", "cut", "off", "villages", "reservoir", "parliament", "votes", "on", "budget"]
    circles = [
        {
            "x": chance.gauss(WIDTH / 2, 150),
            "y": chance.gauss(HEIGHT / 2, 130),
            "radius": max(2.5, 15 * (number + 1) ** -0.5),
            "label": " ".join(chance.choices(words, k=chance.randint(1, 15))),
        }
        for number in range(661)
    ]
    page.goto("explorer")
    labels = page.evaluate(PLACED, [circles, BUTTONS, WIDTH, HEIGHT])
    boxes = [label["box"] for label in labels]
    assert len(boxes) >= 10
    assert not any(overlap(*pair) for pair in combinations([*boxes, BUTTONS], 2))
    assert all(min(left, top) >= 0 for left, top, _, _ in boxes)
    assert all(right <= WIDTH and bottom <= HEIGHT for _, _, right, bottom in boxes)
    largest = [circle_box(circle) for circle in circles if circle["radius"] > 6]
    assert not any(overlap(box, circle) for box in boxes for circle in largest)
    first = " ".join(labels[0]["lines"])
    assert circles[0]["label"].startswith(first.removesuffix(" …"))


def test_a_short_label_is_whole_and_a_long_one_is_cut_between_words(page: Page) -> None:
    page.goto("explorer")
    wrapped = page.evaluate(
        """async (labels) => {
          const { wrap } = await import("./static/labels.js");
          return labels.map(wrap);
        }""",
        [
            "Seabirds return to the Kalten reservoir months after crude oil spill",
            "ab " * 40,
            "x" * 99,
        ],
    )
    assert wrapped[0] == [
        "Seabirds return to the",
        "Kalten reservoir months",
        "after crude oil spill",
    ]
    assert (len(wrapped[1]), wrapped[1][-1][-4:]) == (3, "ab …")
    assert wrapped[2] == ["x" * 25 + "…"]


def test_the_colours_of_a_map_and_a_timeline_are_explained(page: Page) -> None:
    for level, told in (
        ("documents", "Colours only tell clusters"),
        ("events", "economic activity"),
    ):
        page.goto(f"explorer?level={level}")
        expect(page.locator("#legend")).to_contain_text(told)
        page.locator("[data-view=timeline]").click()
        expect(page.locator("#timeline .legend")).to_contain_text(told)


def test_an_axis_tells_days_or_else_times(page: Page) -> None:
    page.goto("dashboard")
    ends = page.evaluate(
        """async (moments) => {
          const { endsOf } = await import("./static/charts.js");
          return moments.map(endsOf);
        }""",
        [
            ["2026-11-29T08:10:00Z", "2026-11-30T08:10:00Z"],
            ["2026-11-30T08:10:00Z", "2026-11-30T09:00:00Z", "2026-11-30T13:15:00Z"],
            ["2026-11-30T08:10:00Z", "2026-11-30T08:10:59Z"],
            ["2026-11-30T08:10:00Z"],
        ],
    )
    assert ends == [
        ["29 Nov 2026", "30 Nov 2026"],
        ["30 Nov 2026, 08:10 UTC", "13:15 UTC"],
        ["30 Nov 2026, 08:10 UTC", None],
        ["30 Nov 2026, 08:10 UTC", None],
    ]


def test_each_share_has_its_name_and_its_colour(page: Page) -> None:
    page.goto("dashboard")
    shares = page.locator("[data-level=documents] figure", has_text="Shares")
    names = shares.locator(".key span")
    expect(names).to_have_text(["coverage", "outliers", "tagged"])
    in_key = names.evaluate_all(
        "all => all.map((one) => getComputedStyle(one, '::before').backgroundColor)"
    )
    drawn = [
        shares.locator(f".dot.s{place}").first.evaluate("one => getComputedStyle(one).fill")
        for place in range(3)
    ]
    assert in_key == drawn
    assert len(set(drawn)) == 3


@pytest.mark.parametrize(("size", "share"), [(DESKTOP, 0.48), (PHONE, 0.99)])
def test_charts_use_their_width(page: Page, size: Any, share: float) -> None:
    page.set_viewport_size(size)
    page.goto("dashboard")
    chart = page.locator("[data-level=documents] figure svg").first
    expect(chart).to_be_visible()
    width = chart.evaluate("one => one.clientWidth / one.closest('.charts').clientWidth")
    assert width >= share
    assert fits(page)
    page.set_viewport_size(DESKTOP)
