"""What an entity is called: of all mentions the name, and what kind each mention is."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from unicodedata import normalize

from clustering_tasks.language.english import DATES, words
from clustering_tasks.language.foreign_pronouns import is_foreign_pronoun
from clustering_tasks.language.mending import mended
from clustering_tasks.stage3.text import matching

Kind = Literal["name", "noun", "pronoun"]
_ORDER: dict[Kind, int] = {"name": 0, "noun": 1, "pronoun": 2}
_SUPPORT = 0.06  # of the mentions that a name stands for, that are this very name
_MANY = 10  # mentions from which one occurrence may be a slip
_JOINED_SHARE = 0.3  # "A and B" is one name if it is so often said
_LONGEST_NAME = 70
_DIGITS = 4  # of a number that can be a name: a year's

_PRONOUN = re.compile(
    r"i|me|my|mine|we|us|our|ours|you|yours?|he|him|his|she|hers?|its?|they|them|theirs?|who(?:m|se)?"
    r"|wh(?:at|ich|ere|en)|that|this|these|those|t?here|then|ones?|each|both|all|some|many|most|none"
    r"|any|other|others|another|others|same|several|few|more|it's|he's|she's|such"
    r"|(?:him|her|it|my|your|one)self|(?:them|our|your)selves|each other|one another|everyone"
    r"|every(?:body|thing)|some(?:one|body|thing|where)|any(?:one|body|thing)|nobody|nothing|no one"
    r"|the (?:one|ones|other|others|two|three|same)|now|so|as|of|in|on|at|to|for|by|with|from|and"
    r"|the|a|yes|no|not|also|up|out|two|three|four|five|six|seven|eight|nine|ten|first|second|one"
    r"|\W*",
    re.IGNORECASE,
)
# Before the name, in small letters: no part of it. A capital may begin one ("The Hague", "Los").
_LEADING = re.compile(
    r"(?:(?:a|an|the|at|in|on|to|from|of|by|for|with|near|into|inside|outside|within|around|across|over"
    r"|off|under|between|among|against|during|through|throughout|towards?|via|about|after|before|since"
    r"|until|and|or|but|that|this|these|those|his|her|its|their|our|my|your|both|all|some|any"
    r"|la|le|les|el|los|las|il|lo|gli|der|die|das|den|dem|des|de|du|da|do|dos|von|vom|im|am|zu|zum|zur"
    r"|en|au|aux|à|em|na|no)\s+)+(?=\S)"
)
_ARTICLE = re.compile(r"(?:The|A|An|In|On|At|From|Of|By|For|His|Her|Their|Its|Our|My)\s+(?=\S)")
_TITLE = re.compile(
    r"(?:(?:Mr|Mrs|Ms|Dr|Prof|Rev|Gov|Sen|Rep|Gen|Col|Lt|Sgt|Capt|Maj|Cpl|Adm|Pres|Hon|St)\.?|Sir"
    r"|Lord|Lady|Dame|President|Vice President|Prime Minister|Chancellor|Senator|Governor|Mayor"
    r"|Minister|Foreign Minister|Secretary|General|Colonel|Captain|Sergeant|Lieutenant|Detective"
    r"|Officer|Deputy|Inspector|Judge|Justice|King|Queen|Prince|Princess|Pope|Professor|Doctor"
    r"|Attorney|Lawyer|Coach|Actor|Actress|Director|Chairman|Congressman|Congresswoman|Sheriff|Se\u00f1or|Se\u00f1ora"
    r"|Bundeskanzler(?:in)?|Kanzler(?:in)?|Pr\u00e4sident(?:in)?|Ministerpr\u00e4sident(?:in)?"
    r"|Presidente|Presidenta|Pr\u00e9sidente?|Premier ministre|Ministre|Ministro|Ministra"
    r"|Primer ministro"
    r"|Cumhurba\u015fkan\u0131|Ba\u015fbakan|Herr|Frau|Monsieur|Madame|Signor|Signora|Don|Do\u00f1a)\s+(?=[^\W\d_a-z])"
)
_SUFFIX = re.compile(
    r",?\s+(?:Inc|Corp|Corporation|Ltd|Limited|LLC|PLC|plc|Co|GmbH|AG|SA|S\.A|SpA|NV|BV|Esq|PhD|M\.?D)\.?$"
)
_AGE = re.compile(r",\s*(?:aged\s+)?\d{1,3}$")
_POSSESSIVE = re.compile(r"(?:['\u2019]s|(?<=s)['\u2019])$")
_NP_HEAD = re.compile(r"\s+(?:of|in|on|at|for|from|near|with|by|to|who|that|which)\s")
_EDGES = " \"'\u201c\u201d\u2018\u2019\u00ab\u00bb,;:()[]"
_HALVES = {"\u00ab": "\u00bb", "\u201c": "\u201d", "\u2018": "\u2019", "(": ")", "[": "]"}
BETWEEN = words(
    """
    of the and & for de la le du des del della di da dos van von der den bin ibn al el y e und et zu
    on in upon at 's
    """
)
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf\u0152-\u2122]")
_TOKEN = re.compile(r"[^\W_]+(?:[.'\u2019&-][^\W_]+)*\.?")


@dataclass(frozen=True)
class Entity:
    """The name of an entity, and its other names.

    Attributes:
        name: to be shown.
        kind: of the name.
        counts: mentions by text, names first, nouns and pronouns behind, the most frequent first.
        alike: those of the name's kind.
    """

    name: str
    kind: Kind
    counts: dict[str, int]
    alike: list[str]


def common_nouns(mentions: Mapping[str, int]) -> frozenset[str]:
    """Return what is written in small letters as often as not, in small letters.

    A capital at the beginning of a sentence or in a headline makes no name of it.

    Args:
        mentions: of a level, with counts.
    """
    small, capital = Counter[str](), Counter[str]()
    for mention, count in mentions.items():
        bare = bare_name(mention)
        low = bare.lower()
        if low == bare.upper():
            continue  # no case, as in Arabic or Chinese: nothing shows
        (small if bare == low else capital)[low] += count
    return frozenset(low for low, count in small.items() if count >= capital[low])


def name_entity(
    mentions: Iterable[str | None], common: frozenset[str] = frozenset()
) -> Entity | None:
    """Name an entity by the longest proper name that is well supported among its mentions.

    Args:
        mentions: one of each member, None where it has none.
        common: what is no name at this level, from `common_nouns`.

    Returns:
        None where there is no mention.
    """
    counts = Counter(one_encoding(mention) for mention in mentions if mention)
    if not counts:
        return None
    kinds = {mention: kind_among(mention, common) for mention in counts}
    ordered = sorted(counts, key=lambda m: (_ORDER[kinds[m]], -counts[m], m))
    kind = kinds[ordered[0]]
    named = {m: counts[m] for m in ordered if kinds[m] == kind}
    name = _best_name(named) if kind == "name" else _most_said(named)
    return Entity(name, kind, {mention: counts[mention] for mention in ordered}, list(named))


def kind_among(mention: str, common: frozenset[str]) -> Kind:
    """Return `kind_of` a mention, where the level has these common nouns."""
    kind = kind_of(mention)
    return "noun" if kind == "name" and bare_name(mention).lower() in common else kind


@lru_cache(1 << 13)
def stands_for_a_name(mention: str) -> bool:
    """Whether a mention is a pronoun, a function word or a short number."""
    if _PRONOUN.fullmatch(mention) or is_foreign_pronoun(mention):
        return True
    bare = bare_name(mention)
    return not bare or (
        (bare != mention and _PRONOUN.fullmatch(bare) is not None)
        or (bare.isdecimal() and len(bare) < _DIGITS)
    )


@lru_cache(1 << 13)
def kind_of(mention: str) -> Kind:
    """Say whether a mention is a name, a common noun or stands for one (a pronoun, a number)."""
    if stands_for_a_name(mention):
        return "pronoun"
    return "name" if _is_name(bare_name(mention)) else "noun"


@lru_cache(1 << 13)
def bare_name(mention: str) -> str:
    """Return a mention without articles and prepositions before it, a possessive and an age."""
    bare = _without_edges(mended(mention))
    bare = _LEADING.sub("", bare, count=1) if _LEADING.match(bare) else bare
    bare = _AGE.sub("", bare)
    return _without_edges(_POSSESSIVE.sub("", bare))


def _without_edges(text: str) -> str:
    """Take off quotes, brackets and signs, but not half of a pair: "Opera (Oslo)"."""
    bare = text.strip(_EDGES)
    for opening, closing in _HALVES.items():
        if bare.count(opening) > bare.count(closing) and closing in text[len(bare) :]:
            return bare + closing
    return bare


def one_encoding(mention: str) -> str:
    """Return a mention in one form: full width is half, and UTF-8 read as Latin is UTF-8."""
    if mention.isascii():
        return mention
    if _MOJIBAKE.search(mention):
        for codec in ("cp1252", "latin-1"):
            try:
                mention = mention.encode(codec).decode()
                break
            except UnicodeError:
                continue
    return " ".join(normalize("NFKC", mention).split()) or mention


def without_title(name: str) -> str:
    """Return a name without the titles before it and a company's form behind it."""
    for pattern in (_TITLE, _TITLE, _SUFFIX):
        short = pattern.sub("", name, count=1)
        name = short if len(short) > 2 else name
    return name


def without_article(name: str) -> str:
    """Return a name without an article or a preposition in capitals before it."""
    article = _ARTICLE.match(name)
    return name[article.end() :] if article else name


def _is_name(bare: str) -> bool:
    """Whether a noun phrase is a name, or has one for its modifier ("Obama administration").

    What a preposition joins to a common noun is not its name: "home in Santa Rosa" is a home.
    """
    parts = bare.split()
    if len(parts) > 1 and _PRONOUN.fullmatch(parts[0]):  # "Both women", "Two men"
        parts = parts[1:]
        bare = " ".join(parts)
    if not any(character.isupper() for character in bare):
        # no case in this script, so that nothing shows: a short one is taken for a name
        return not any(character.islower() for character in bare) and any(map(str.isalpha, bare))
    for word in parts:
        letter = next((c for c in word if c.isalnum()), "")
        if letter.isupper() or (letter.isdigit() and word == parts[0] and len(parts) > 1):
            return True
        if word in BETWEEN or word in ("to", "from", "with", "by", "who", "that", "near"):
            return False
    return any(word[:1].isupper() for word in parts)


def _most_said(counts: Mapping[str, int]) -> str:
    said = Counter[str]()
    for mention, count in counts.items():
        said[_NP_HEAD.split(bare_name(mention) or mention, maxsplit=1)[0]] += count
    return min(said, key=lambda m: (-said[m], len(m), m))


def _best_name(counts: Mapping[str, int]) -> str:
    """Choose the name that stands for most mentions, the longest form that is well supported."""
    forms = _forms(counts)
    said_in = {form: frozenset(_words(form)) for form in forms}
    total = sum(forms.values())
    support = {form: _support(form, said_in, forms) for form in forms}
    pure = {form for form in forms if is_pure(form)} or set(forms)
    pure = {form for form in pure if len(form) <= _LONGEST_NAME} or pure

    def worth(form: str) -> tuple[float, int, int, str]:
        own = forms[form]
        enough = own >= max(1, _SUPPORT * support[form]) and (own > 1 or total < _MANY)
        if " and " in form or "/" in form or " & " in form:
            enough = enough and own >= _JOINED_SHARE * total
        said = support[form] if enough else own * 0.5
        return (-said, -len(said_in[form]), -own, form)

    return min(pure, key=worth)


def _forms(counts: Mapping[str, int]) -> Counter[str]:
    """Count names without articles, titles and suffixes; of forms that match the most frequent."""
    spelled: dict[str, Counter[str]] = {}
    attested = {m for m in counts if bare_name(m) == m}  # without an article
    for mention, count in counts.items():
        bare = bare_name(mention) or mention
        article = _ARTICLE.match(bare)
        if article and (article[0] != "The " or bare[article.end() :] in attested):
            bare = bare[article.end() :]
        bare = without_title(bare)
        spelled.setdefault(matching(bare), Counter())[bare] += count
    return Counter(
        {
            min(each, key=lambda f: (f.isupper() and len(f) > 5, -each[f], f)): each.total()
            for each in spelled.values()
        }
    )


def _support(form: str, said_in: Mapping[str, frozenset[str]], forms: Mapping[str, int]) -> int:
    """Count the mentions that a name stands for: its own, shorter forms and its acronym."""
    own = said_in[form]
    letters = "".join(word[0] for word in _TOKEN.findall(form) if word not in BETWEEN).upper()
    return sum(
        count
        for other, count in forms.items()
        if said_in[other] <= own or (len(letters) > 1 and other.replace(".", "").upper() == letters)
    )


def _words(form: str) -> list[str]:
    return [matching(word).rstrip(".") for word in _TOKEN.findall(form)] or [matching(form)]


def is_pure(form: str) -> bool:
    """Whether every word of a name is a part of it: no common noun beside it."""
    return all(
        word[0].isupper() or word[0].isdigit() or word in BETWEEN or not word[0].islower()
        for word in _TOKEN.findall(form)
    )


# A capital at the beginning of a sentence, of a headline's word, of a day, makes no name of these.
_NO_ENDS = DATES | words(
    """
    a an the this that these those he she it they we i you his her its their our my after before
    when while since as but and or so if in on at by from for with without to of into over under
    not no one two three former according despite during following gov dr mr mrs ms sen rep
    president meanwhile however also police officials there here what who how why where yesterday
    today tonight
    """
)


@lru_cache(1 << 13)
def names_in(sentence: str) -> list[str]:
    """Return the names in a sentence: runs of capitalised words, not the first word alone.

    Where most words have a capital, as in headlines, nothing shows a name.
    """
    parts = sentence.split()
    initials = [word[0] for word in parts]
    if sum(map(str.isupper, initials)) * 4 > 3 * len(parts):
        return []
    found, run = list[str](), list[str]()
    for place, (word, small) in enumerate(zip(parts, map(str.islower, initials), strict=True)):
        if small and not run:
            continue  # most words
        bare = word.strip(_EDGES + ".!?\u2026")
        if bare[:1].isupper() and (place or not run):
            run.append(bare)
        elif run and bare.lower() in ("of", "de", "van", "von", "al", "bin") and bare == word:
            run.append(bare)
            continue
        else:
            run = _close(run, found, place)
        if word[-1:] in ",;:.!?)\u201d" and not (len(bare) <= 2 and word.endswith(".")):
            run = _close(run, found, place + 1)
    _close(run, found, -1)
    return found


def _close(run: list[str], found: list[str], place: int) -> list[str]:
    while run and (run[-1].islower() or run[-1].lower() in _NO_ENDS):
        run.pop()
        place = -1 if place < 0 else place - 1
    if run and place == len(run):  # at the sentence's beginning, where any word has a capital
        run = run[1:] if len(run) == 1 or run[0].lower() in _NO_ENDS else run
    while run and run[0].lower() in _NO_ENDS:
        run = run[1:]
    name = _POSSESSIVE.sub("", " ".join(run))
    if any(len(word) > 2 for word in run) and kind_of(name) == "name" and len(run) <= 5:
        found.append(name)
    return []
