"""The list of an installation's tags: `topic/climate = climate change | global warming`.

A line is a category, a tag, and the phrases that stand for it in a text or in a field of Stage 3's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from upath import UPath

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.types import list_schema, names

# Settings go to a step as one argument of a command, which Linux limits to 131,072 bytes.
_MOST_BYTES = 65_536
_LONGEST = 100
SOURCES = ("domains", "categories", "tags", "text")


@dataclass(frozen=True)
class ListedTag:
    """A tag of the list.

    Attributes:
        category: of tags that exclude each other.
        tag: as it is shown.
        phrases: that stand for it, beside the tag itself in Stage 3's fields.
    """

    category: str
    tag: str
    phrases: tuple[str, ...] = ()


def listed_tag(line: str) -> ListedTag:
    """Read a line of the list.

    Raises:
        ValueError: it is no category and tag.
    """
    name, _, rest = line.partition("=")
    category, slash, tag = (part.strip() for part in name.partition("/"))
    if not (category and slash and tag) or max(len(category), len(tag)) > _LONGEST:
        raise ValueError(
            f"{line[:_LONGEST]!r} is no tag: write `category/tag` or `category/tag = phrase | "
            f"phrase`, with names of at most {_LONGEST} characters"
        )
    phrases = (phrase.strip() for phrase in rest.split("|"))
    return ListedTag(category, tag, tuple(filter(None, phrases)))


def read_tag_file(uri: str) -> list[str]:
    """Read the lines of a file of tags; blank lines and those that begin with `#` are left out.

    Raises:
        SettingsError: there is no such file, or it is no text.
    """
    try:
        text = UPath(uri).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"STAGE4_TAGS={uri} cannot be read ({error}): name a file of tags in UTF-8, or unset it"
        ) from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _checked(lines: list[str] | None) -> list[str] | None:
    if lines is None:
        return None
    if sum(len(line.encode()) for line in lines) > _MOST_BYTES:
        raise ValueError(f"the list is longer than {_MOST_BYTES:,} bytes: shorten it")
    found = [listed_tag(line) for line in lines]
    if twice := list(_twice(found)):
        raise ValueError(
            f"of two tags: {', '.join(twice[:5])}. A tag and a phrase stand in one line of the list"
        )
    return lines


def _twice(tags: Sequence[ListedTag]) -> Iterator[str]:
    """Yield what stands for two tags: then no field of Stage 3's names one of them."""
    meant = [{name.lower() for name in (each.tag, *each.phrases)} for each in tags]
    counts = Counter(name for each in meant for name in each)
    return (name for name, count in counts.items() if count > 1)


def _known(values: list[str] | None) -> list[str] | None:
    if values is not None and (unknown := [each for each in values if each not in SOURCES]):
        raise ValueError(f"no such source as {', '.join(unknown)}; known are {', '.join(SOURCES)}")
    return values


def read_listed(lines: Iterable[str] | None) -> list[ListedTag]:
    """Read the lines of a checked list; None: there is none."""
    return [listed_tag(line) for line in lines or ()]


TagList = Annotated[
    list[str] | None, BeforeValidator(names), AfterValidator(_checked), list_schema()
]
TagSources = Annotated[
    list[str] | None, BeforeValidator(names), AfterValidator(_known), list_schema(SOURCES)
]
