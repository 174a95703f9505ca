"""The tags of a level by numbers, whatever their spellings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from clustering_tasks.arrays import I64
from clustering_tasks.settings.tag_list import ListedTag
from clustering_tasks.stage3.text import matching

DOMAIN, CATEGORY, TAG = "domain", "category", "tag"
# Of Stage 3's values those that the list may give a category of its own.
_CLAIMED = (CATEGORY, TAG)

Name = tuple[str, str]
"""Category and tag."""


@dataclass(frozen=True)
class Names:
    """Tags in the order of their names.

    Attributes:
        names: (t,) category and tag.
        of_spelling: (s,) number of the tag that each spelling stands for.
        of_listed: (l,) number of each tag of the list.
    """

    names: list[Name]
    of_spelling: I64
    of_listed: I64

    @property
    def exclusive(self) -> I64:
        """(t,) number of each tag's category; -1 for Stage 3's `tags`, which exclude no other."""
        categories = sorted({category for category, _ in self.names} - {TAG})
        number = {category: at for at, category in enumerate(categories)}
        return _numbers(number.get(category, -1) for category, _ in self.names)


@dataclass
class Vocabulary:
    """Spellings by numbers, as they are met.

    Attributes:
        listed: the controlled list.
    """

    listed: Sequence[ListedTag]
    _spellings: dict[Name, int] = field(default_factory=dict)

    def spelling(self, category: str, text: str) -> int:
        """Return the number of a spelling."""
        return self._spellings.setdefault((category, text), len(self._spellings))

    def names(self, spellings: I64) -> Names:
        """Number the tags: spellings that differ in case or width alone are one.

        Args:
            spellings: all that were met. An unlisted tag is shown in its most frequent one.
        """
        counts = np.bincount(spellings, minlength=len(self._spellings)).tolist()
        keys = dict(zip(self._spellings, self._keys(), strict=True))
        listed = [(each.category, matching(each.tag)) for each in self.listed]
        shown = {
            key: (each.category, each.tag) for key, each in zip(listed, self.listed, strict=True)
        }
        for name in sorted(keys, key=lambda name: (-counts[self._spellings[name]], name)):
            shown.setdefault(keys[name], name)
        order = sorted(shown, key=shown.__getitem__)
        number = {key: at for at, key in enumerate(order)}
        return Names(
            [shown[key] for key in order],
            _numbers(number[key] for key in keys.values()),
            _numbers(number[key] for key in listed),
        )

    def _keys(self) -> list[Name]:
        """Return what each spelling is compared by: of a claimed one the listed tag."""
        claims = {
            matching(name): (each.category, matching(each.tag))
            for each in self.listed
            for name in (each.tag, *each.phrases)
        }
        plain = [(category, matching(text)) for category, text in self._spellings]
        return [claims.get(key[1], key) if key[0] in _CLAIMED else key for key in plain]


def _numbers(values: Iterable[int]) -> I64:
    return np.fromiter(values, dtype=np.int64)
