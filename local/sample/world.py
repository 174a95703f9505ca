"""The fictional world: countries and cities, names of people and firms, and filling of slots."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from local.sample.randomness import named_random
from local.sample.templates import Template, echo_templates, read_toml

_TYPED = re.compile(r"(PER|ORG|LOC|GPE|MISC|EVENT|MONEY|NUM): (.+)", re.DOTALL)
_SLOT = re.compile(r"\{(\w+)\}")
_DIGITS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPELLINGS = (("ph", "f"), ("ck", "k"), ("th", "t"), ("ei", "ie"), ("ss", "s"), ("dt", "d"))


@dataclass(frozen=True, slots=True)
class Entity:
    """Someone or something with a name; `key` is its gold cluster, `short` its later forms."""

    key: str
    kind: str
    full: str
    short: tuple[str, ...]
    headline: str
    role: str = ""


Filling = Mapping[str, "str | Entity"]


@lru_cache(maxsize=1)
def _world() -> dict[str, Any]:
    return read_toml("world")


def _respelt(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    if plain != name:
        return plain
    first, _, last = name.rpartition(" ")
    for old, new in _SPELLINGS:
        if old in last:
            return f"{first} {last.replace(old, new)}"
    return name


def person(key: str, role: str, names: str, draw: random.Random) -> Entity:
    """Return a person with a drawn name; a capitalised role also serves as a form of address."""
    pool = _world()["names"][names]
    address, given = draw.choice((("Ms", "women"), ("Mr", "men")))
    surname = draw.choice(pool["surnames"])
    full = f"{draw.choice(pool[given])} {surname}"
    titled = f"{role.split()[-1]} {surname}" if role[:1].isupper() else f"{address} {surname}"
    short = (surname, surname, surname, titled, full, _respelt(full))
    return Entity(key, "PER", full, short, surname, role)


def _acronym(name: str) -> str:
    initials = "".join(word[0] for word in name.replace("-", " ").split() if word[0].isupper())
    return initials if len(initials) >= 3 else ""


def _named(kind: str, text: str, owner: str) -> Entity:
    full, *short = text.split(" = ")
    acronym = _acronym(full) if kind == "ORG" and not short else ""
    bare = full.removeprefix("the ")
    forms = tuple(short) or ((acronym, acronym, full) if acronym else (full,))
    headline = min(forms, key=len) if short or acronym else full
    return Entity(f"{kind.lower()}:{owner}:{bare}", kind, full, forms, headline)


def _money(key: str, bounds: str, draw: random.Random) -> Entity:
    span, unit = bounds.split()
    low, high = map(int, span.split("-"))
    amount = (
        f"{draw.uniform(low, high):.1f}".removesuffix(".0")
        if high < 100
        else (f"{draw.randrange(low, high, 10)}")
    )
    short = f"${amount}{unit[0]}n" if unit == "billion" else f"${amount}m"
    if unit == "dollars":
        return Entity(key, "MONEY", f"${amount}", (f"{amount} dollars", f"${amount}"), f"${amount}")
    return Entity(key, "MONEY", f"${amount} {unit}", (short, f"{amount} {unit} dollars"), short)


def _number(bounds: str, draw: random.Random) -> str:
    low, high = map(int, bounds.split("-"))
    value = draw.randint(low, high)
    if value < 10:
        return _DIGITS[value]
    step = 1 if high < 200 else 10 if high < 2000 else 100 if high < 50_000 else 1000
    return f"{value - value % step:,}"


class _Filler:
    """Fills the slots of one story; texts may name slots that were filled before."""

    def __init__(self, story: str, country: Mapping[str, Any], draw: random.Random) -> None:
        self.story, self.country, self.draw = story, country, draw
        self.filled: dict[str, str | Entity] = {}
        self.surnames: set[str] = set()

    def plain(self, text: str) -> str:
        """Expand the slots in a text of the data, to the full names."""

        def value(match: re.Match[str]) -> str:
            if match[1] == "brand":
                return str(self.draw.choice(_world()["brands"]))
            found = self.filled[match[1]]
            return found.full if isinstance(found, Entity) else found

        return _SLOT.sub(value, text)

    def _person(self, slot: str, role: str) -> Entity:
        while True:
            found = person(f"per:{self.story}:{slot}", role, self.country["names"], self.draw)
            if found.headline not in self.surnames:
                self.surnames.add(found.headline)
                return found

    def fill(self, slot: str, text: str) -> None:
        """Fill one slot from its text, `KIND: ...` for an entity or a number."""
        options = text.split(" // ")
        typed = _TYPED.fullmatch(self.plain(self.draw.choice(options)))
        if typed is None:
            self.filled[slot] = self.plain(self.draw.choice(options))
        elif typed[1] == "NUM":
            self.filled[slot] = _number(typed[2], self.draw)
        elif typed[1] == "MONEY":
            self.filled[slot] = _money(f"money:{self.story}:{slot}", typed[2], self.draw)
        elif typed[1] == "PER":
            self.filled[slot] = self._person(slot, typed[2])
        else:
            self.filled[slot] = _named(typed[1], typed[2], self.country["name"])


def _place(name: str) -> Entity:
    return Entity(f"gpe:{name}", "GPE", name, (name,), name)


def _geography(country: Mapping[str, Any], suffix: str, draw: random.Random) -> Filling:
    """A country's slots: the names of its places, and its head of government, are everywhere
    the same, so that stories share entities as real ones do."""
    head = person(
        f"per:head:{country['name']}",
        country["head"],
        country["names"],
        named_random("head of government", country["name"]),
    )
    city, landmark, water = draw.choice(country["cities"])
    return {
        f"city{suffix}": _place(city),
        f"country{suffix}": _place(country["name"]),
        f"capital{suffix}": _place(country["capital"]),
        f"nation{suffix}": country["nation"],
        f"premier{suffix}": head,
        f"place{suffix}": _named("LOC", landmark, country["name"]),
        f"water{suffix}": _named("LOC", water, country["name"]),
    }


def fill_story(story: str, template: Template, variant: int, draw: random.Random) -> Filling:
    """Return the filled slots of a new story of this kind, set in two countries drawn anew."""
    home, abroad = draw.sample(_world()["countries"], 2)
    filler = _Filler(story, home, draw)
    filler.filled.update(_geography(home, "", draw))
    filler.filled.update(_geography(abroad, "2", draw))
    filler.surnames.update(
        value.headline for value in filler.filled.values() if isinstance(value, Entity)
    )
    chosen = template.variants[variant % len(template.variants)]
    for slot, text in {**chosen, **template.slots, **echo_templates().slots}.items():
        filler.country = abroad if slot.endswith("2") else home
        filler.fill(slot, text)
    return filler.filled


def fill_colour(text: str, nation: str, draw: random.Random) -> Filling:
    """Return the slots of what only one document adds: its witness, its expert, a year, a sum."""
    names = next(c["names"] for c in _world()["countries"] if c["nation"] == nation)
    expert = draw.choice(_world()["experts"])
    return {
        "witness": person(f"per:{text}:witness", "", names, draw),
        "expert": person(f"per:{text}:expert", expert, names, draw),
        "year": str(draw.randint(1978, 2019)),
        "gift": _money(f"money:{text}:gift", "200-990 dollars", draw),
        "sum": _money(f"money:{text}:sum", "1-40 million", draw),
    }
