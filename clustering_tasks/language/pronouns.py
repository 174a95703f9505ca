"""Words that stand for something mentioned before, and how to find it."""

from functools import lru_cache
from typing import Literal

from clustering_tasks.language.english import words
from clustering_tasks.language.name_keys import gender
from clustering_tasks.stage3.text import matching

Reference = Literal["person", "thing", "relative"]

# Words that are nothing else in another language, as far as they are a mention by themselves:
# without Italian "che" (a name), French "lui" and German "sie" (of any gender), "dove" (a bird).
_RELATIVE = words(
    """
    who whose whom which that where
    qui dont o\u00f9 lequel laquelle lesquels lesquelles
    que quien quienes cuyo cuya cuyos cuyas
    cui
    der die das welcher welche welches deren dessen dem denen
    quem cujo cuja cujos cujas
    """
)
_THING = words(
    """
    it its itself they their them theirs themselves
    ils elles eux leur leurs ellos ellas loro eles elas hun
    """
)


@lru_cache(1 << 13)
def reference(mention: str) -> Reference | None:
    """Return how a pronoun refers to something before it, None for any other mention.

    A capital makes a name of a word ("WHO", "IT", "ER", "Hun"), but for a person's at a beginning.

    Returns:
        `relative` for what follows the thing itself ("who"), `person` for one person's ("she"),
        `thing` for all others ("it", "they").
    """
    if gender(mention) is not None:
        return "person" if mention[1:].islower() else None
    word = matching(mention)
    if not mention.islower():
        return None
    if word in _RELATIVE:
        return "relative"
    return "thing" if word in _THING else None
