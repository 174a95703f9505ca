"""Which corrections cannot hold together; pure functions.

`together` is transitive: its items are one story with all that share an item with them. `apart`
contradicts when both of its sides are in one story. Of corrections that contradict, the earlier
hold; the later one is refused and named with all that it contradicts.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from clustering_tasks.corrections.correction import LINKS, Correction

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Link(Generic[Name]):
    """What a `together` (without `others`) or an `apart` demands.

    Attributes:
        correction_id: of the correction.
        items: names of items.
        others: of `apart`.
    """

    correction_id: int
    items: tuple[Name, ...]
    others: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Contradiction:
    """A correction that cannot hold.

    Attributes:
        correction_id: of it.
        against: earlier corrections, ascending, that exclude it together.
    """

    correction_id: int
    against: tuple[int, ...]

    def __str__(self) -> str:
        """Name both sides."""
        return f"{self.correction_id} contradicts {', '.join(map(str, self.against))}"


@dataclass
class Stories(Generic[Name]):
    """Links that hold together.

    Attributes:
        leaves: by story, the stories that it leaves, with the correction that says so.
        contradictions: the links that were refused.
    """

    leaves: dict[Name, dict[Name, int]] = field(default_factory=dict)
    contradictions: list[Contradiction] = field(default_factory=list)
    _parent: dict[Name, Name] = field(default_factory=dict)
    _enemies: dict[Name, dict[Name, int]] = field(default_factory=dict)
    _joined: dict[Name, list[tuple[Name, int]]] = field(default_factory=dict)
    _sides: dict[int, Link[Name]] = field(default_factory=dict)

    def story(self, name: Name) -> Name:
        """Return the name that stands for an item's story: itself where nothing is linked."""
        root = name
        while self._parent.get(root, root) != root:
            root = self._parent[root]
        while (above := self._parent.get(name, name)) != root:
            self._parent[name], name = root, above
        return root

    def names(self) -> Iterator[Name]:
        """Yield every item of the links that hold, in their order."""
        yield from self._parent

    def add(self, link: Link[Name]) -> None:
        """Accept a link, or note what it contradicts."""
        against = self._against(link)
        if against:
            self.contradictions.append(Contradiction(link.correction_id, tuple(sorted(against))))
            return
        for name in (*link.items, *link.others):
            self._parent.setdefault(name, name)
        if link.others:
            self._keep_apart(link)
        else:
            self._join(link)

    def _against(self, link: Link[Name]) -> set[int]:
        if link.others:
            stays = {self.story(name): name for name in link.others}
            pairs = [(name, stays.get(self.story(name))) for name in link.items]
            return next((self._path(one, two) for one, two in pairs if two is not None), set())
        roots = {self.story(name): name for name in link.items}
        for root, name in roots.items():
            for enemy, by in self._enemies.get(root, {}).items():
                if enemy in roots:
                    return {by} | self._reasons(by, name, roots[enemy])
        return set()

    def _reasons(self, by: int, one: Name, two: Name) -> set[int]:
        """Return the corrections that lead from two items to the sides of an `apart`."""
        sides = self._sides[by]
        for first, second in ((sides.items, sides.others), (sides.others, sides.items)):
            mine = [name for name in first if self.story(name) == self.story(one)]
            theirs = [name for name in second if self.story(name) == self.story(two)]
            if mine and theirs:
                return self._path(one, mine[0]) | self._path(two, theirs[0])
        return set()

    def _path(self, one: Name, two: Name) -> set[int]:
        """Return the `together` that lead from an item to another of its story, the fewest."""
        came: dict[Name, tuple[Name, int] | None] = {one: None}
        waiting = deque([one])
        while waiting and two not in came:
            here = waiting.popleft()
            for name, by in self._joined.get(here, ()):
                if name not in came:
                    came[name] = (here, by)
                    waiting.append(name)
        found, step = set[int](), came.get(two)
        while step is not None:
            found.add(step[1])
            step = came[step[0]]
        return found

    def _keep_apart(self, link: Link[Name]) -> None:
        self._sides[link.correction_id] = link
        leaving = dict.fromkeys(map(self.story, link.items))
        staying = dict.fromkeys(map(self.story, link.others))
        for one in leaving:
            for two in staying:
                self.leaves.setdefault(one, {}).setdefault(two, link.correction_id)
                for a, b in ((one, two), (two, one)):
                    self._enemies.setdefault(a, {}).setdefault(b, link.correction_id)

    def _join(self, link: Link[Name]) -> None:
        first, *rest = link.items
        for name in rest:
            self._joined.setdefault(first, []).append((name, link.correction_id))
            self._joined.setdefault(name, []).append((first, link.correction_id))
            self._unite(self.story(first), self.story(name))

    def _unite(self, one: Name, two: Name) -> None:
        """Make the story with fewer enemies a part of the other."""
        if one == two:
            return
        if len(self._enemies.get(one, ())) < len(self._enemies.get(two, ())):
            one, two = two, one
        self._parent[two] = one
        for enemy, by in self._enemies.pop(two, {}).items():
            self._enemies.setdefault(one, {}).setdefault(enemy, by)
            others = self._enemies[enemy]
            others.setdefault(one, others.pop(two))
            if two in self.leaves.get(enemy, ()):
                self.leaves[enemy].setdefault(one, self.leaves[enemy].pop(two))
        for enemy, by in self.leaves.pop(two, {}).items():
            self.leaves.setdefault(one, {}).setdefault(enemy, by)


def stories(links: Iterable[Link[Name]]) -> Stories[Name]:
    """Put links together, in the order of their corrections.

    Args:
        links: each with one correction's number.
    """
    found = Stories[Name]()
    for link in sorted(links, key=lambda link: link.correction_id):
        found.add(link)
    return found


def links_of(corrections: Iterable[Correction]) -> Iterator[Link[str]]:
    """Yield what the corrections about items demand, by the items' ids."""
    for each in corrections:
        if each.kind in LINKS:
            yield Link(each.correction_id, each.items, each.others)


def contradictions(corrections: Sequence[Correction]) -> list[Contradiction]:
    """Find the corrections that cannot hold, each with the earlier ones that it contradicts."""
    found = stories(links_of(corrections)).contradictions
    found = [*found, *about_clusters(corrections)]
    return sorted(found, key=lambda each: each.correction_id)


def about_clusters(corrections: Iterable[Correction]) -> Iterator[Contradiction]:
    """Yield second names of a cluster, and those that pin what is hidden or the other way."""
    names: dict[str, Correction] = {}
    shown: dict[str, Correction] = {}
    for each in sorted(corrections, key=lambda each: each.correction_id):
        if each.cluster_id is None:
            continue
        of = names if each.kind == "rename" else shown
        earlier = of.setdefault(each.cluster_id, each)
        if (earlier.kind, earlier.label) != (each.kind, each.label):
            yield Contradiction(each.correction_id, (earlier.correction_id,))
