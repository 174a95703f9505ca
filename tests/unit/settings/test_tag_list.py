"""The list of tags: what a line says, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.installed_tags import with_installed_tags
from clustering_tasks.settings.run import run_settings
from clustering_tasks.settings.tag_list import ListedTag, listed_tag

LINES = ["topic/climate = climate change | global warming", "topic/sport"]


def test_a_line_is_a_category_a_tag_and_phrases() -> None:
    assert listed_tag(LINES[0]) == ListedTag(
        "topic", "climate", ("climate change", "global warming")
    )
    assert listed_tag(" desk / on/off ") == ListedTag("desk", "on/off")
    assert listed_tag("topic/sport = | ") == ListedTag("topic", "sport")


def test_a_list_may_be_a_text_with_commas() -> None:
    assert run_settings({"tags.listed": ",".join(LINES)}).tags.listed == LINES
    assert run_settings({"tags.listed": ""}).tags.listed is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tags.listed": ["climate"]}, "write `category/tag`"),
        ({"tags.listed": ["/climate"]}, "write `category/tag`"),
        ({"tags.listed": [f"topic/{'x' * 101}"]}, "at most 100 characters"),
        ({"tags.listed": ["a/Sport", "b/sport"]}, "of two tags: sport"),
        ({"tags.listed": ["a/sport = games", "a/games"]}, "of two tags: games"),
        ({"tags.listed": [f"topic/{n} = {'x' * 90}{n}" for n in range(700)]}, "65,536 bytes"),
        ({"tags.sources": "domains,keywords"}, "no such source as keywords"),
    ],
)
def test_what_is_no_list_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        run_settings(wrong)


def test_a_run_without_a_list_has_the_installations(tmp_path: Path) -> None:
    file = tmp_path / "tags.txt"
    file.write_text(f"# ours\n\n{LINES[0]}\n  {LINES[1]}  \n", "utf-8")
    assert with_installed_tags(run_settings(), str(file)).tags.listed == LINES
    own = run_settings({"tags.listed": ["topic/own"], "hdbscan.min_samples": 3})
    assert with_installed_tags(own, str(file)) is own
    assert with_installed_tags(own, None) is own
    file.write_text("climate\n")
    with pytest.raises(SettingsError, match=r"tags\.listed: 'climate' is no tag"):
        with_installed_tags(run_settings(), str(file))
    with pytest.raises(SettingsError, match=r"STAGE4_TAGS=.*cannot be read"):
        with_installed_tags(run_settings(), str(tmp_path / "missing"))
