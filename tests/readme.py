"""The code blocks of the README and the other pages, so that tests can run what it says."""

import re
from pathlib import Path

REPO = Path(__file__).parents[1]
README = REPO / "README.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str, page: Path = README) -> str:
    """The text under a heading, up to the next one of its rank."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    assert found, f"{page.name} has no section {title!r}"
    return rest.partition("\n## ")[0]


def blocks(title: str, language: str, page: Path = README) -> list[str]:
    """The code blocks of a language in a section."""
    return [text for name, text in _BLOCK.findall(section(title, page)) if name == language]
