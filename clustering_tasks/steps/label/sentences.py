"""The sentences of a text, and of a headline and a lead that stand together without a sign."""

import re
from functools import lru_cache

from clustering_tasks.language.english import ABBREVIATIONS
from clustering_tasks.language.mending import mended
from clustering_tasks.steps.label.verbs import has_verb, is_clause, is_whole

_READ = 600  # characters of a text; a title has fewer
_CUT_OFF = 120  # without a sign at its end, a longer text is taken for cut off
_ENDS = frozenset(".!?\u2026\"'\u201d\u2019)]\u3002\uff01\uff1f\u0964\u061f")
_SIGN = re.compile("[.!?\u2026\u3002\uff01\uff1f\u0964\u061f]")
_STOP = re.compile(
    r"[.!?\u2026]+[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(\[]*[^\W\d_a-z])"
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d]?\s*|[\u0964\u061f]\s*"
)
# A headline and the lead behind it: "... in 2014 This will be ..."
_GLUED = re.compile(
    r" (?=[A-Z])(?:(?<=[a-z0-9%\u2019')\u201d] )(?=(?:The|This|That|These|He|She|It|They|We|A|An|In"
    r"|On|At|After|His|Her|Their|There|According|But|With|As|While|When)\s[a-z0-9])"
    r"|(?<=[a-z0-9%] )(?=An? [A-Z]))"
)
_NAME = r"([^\W\d_a-z][^\W\d_]{3,})\b"
_FIRST_NAME = re.compile(rf"(?!The |This |That |With |From |After ){_NAME}(?: {_NAME})?")
_OPEN_NOUN = re.compile(r"\b[Tt]he [a-z]+$")
_TIMES = ("a.m", "p.m")
_TOPIC = re.compile(r"[^:]{3,60}: ")
_GIVEN_NAME = re.compile(r"(?<=[a-z0-9]) [A-Z][a-z]+$")
_OPEN_HEAD = re.compile(r"(?:[,;:\d]|,\s+(?:an?|the|who)\b[^,]*|\ban? \w+)$")
_GLUED_LENGTH = 80
_HEADLINE_LENGTH = 20
_TWICE = 2
_ENDED = ".,;:-\u2013\u2014\u3002\u0964 "


@lru_cache(1 << 14)  # events of a document have sentences in common
def sentences(text: str) -> list[str]:
    """Cut the beginning of a clean text into its sentences, without the signs at their ends."""
    text = mended(text[:_READ])
    if len(text) > _CUT_OFF and text[-1] not in _ENDS:
        text += "\u2026"
    parts = [
        piece
        for part in _at_stops(text)
        for between in _at_pronoun(part)
        for piece in _at_second_start(between)
    ]
    return [s for part in parts if (s := tidy(part))]


def _at_stops(text: str) -> list[str]:
    parts, start, looked_at = list[str](), 0, 0
    for sign in _SIGN.finditer(text):
        stop = _STOP.match(text, sign.start()) if sign.start() >= looked_at else None
        if stop is None:
            continue
        looked_at = stop.end()
        before = text[start : stop.start()].rpartition(" ")[2].strip("(\"'\u201c\u2018").lower()
        if text[stop.start()] == "." and (
            before in ABBREVIATIONS or len(before) == 1 or "." in before
        ):
            continue
        parts.append(text[start : stop.end()])
        start = stop.end()
    return [*parts, text[start:]]


def _at_pronoun(text: str) -> list[str]:
    """Cut a headline from a lead that begins with a small word's capital."""
    for glued in _GLUED.finditer(text):
        head, lead = text[: glued.start()], text[glued.end() :]
        # what stands together twice is no seam: "hepatitis A"
        pair = f"{head.rpartition(' ')[2]} {lead.partition(' ')[0]}".lower()
        apart = len(head) > _HEADLINE_LENGTH and is_whole(head) and has_verb(lead)
        # a name or a letter behind its noun: "the novel A Season of Clay", "the hepatitis A cases"
        apart = apart and not (lead.startswith("A ") and _OPEN_NOUN.search(head))
        if apart and text.lower().count(pair) < _TWICE:
            return [head, *_at_pronoun(lead)]
    return [text]


def _at_second_start(text: str) -> list[str]:
    """Cut a headline from a lead that begins with the same name, where no sign is between them."""
    first = _FIRST_NAME.match(text)
    if len(text) < _GLUED_LENGTH:
        return [text]
    names = filter(None, (*(first.groups() if first else ()), "The"))
    for at in sorted(text.find(f" {name} ", _HEADLINE_LENGTH) for name in names):
        if at > 0:
            if _TOPIC.match(text):
                break
            given = _GIVEN_NAME.search(text[:at])
            at = given.start() if given else at
            head, rest = text[:at], text[at + 1 :]
            if _OPEN_HEAD.search(head) is None and has_verb(rest):
                return [head, rest] if is_clause(head) else [text]
    return [text]


def split_before(sentence: str, start: str) -> list[str]:
    """Cut a sentence where another one begins within it, if what is before can stand alone."""
    at = sentence.find(start, 16)
    head = sentence[: max(at, 0)].rstrip(" .,:")
    if at <= 0 or sentence[at - 1] != " " or not is_clause(head):
        return [sentence]
    return [head, sentence[at:]] if has_verb(sentence[at:]) else [head]


def is_abbreviated(text: str) -> bool:
    """Tell whether a point behind a text belongs to its last word (`7.55 p.m`, `Acme Corp`)."""
    last = text.rpartition(" ")[2].lower()
    return (last[-2:-1] == "." and last[-1:].isalpha()) or last in ABBREVIATIONS


def tidy(part: str) -> str:
    """Return a sentence or clause without the signs at its ends, but for what shows a cut."""
    part = " ".join(part.split()).strip()
    if part.endswith(("...", "\u2026")):
        return part
    if part.endswith((".\u201d", '."', ".\u2019", ".'")):
        part = part[:-2] + part[-1]
    bare = part.rstrip(_ENDED)
    if part[len(bare) : len(bare) + 1] == "." and is_abbreviated(bare):
        bare += "."
    return _without_lone_quotes(bare.lstrip(",;:-\u2013\u2014. ") if bare[:2] != ".." else bare)


def _without_lone_quotes(text: str) -> str:
    """Take off a quote at an end whose other half is in another sentence."""
    for opening, closing in (("\u201c", "\u201d"), ('"', '"')):
        if opening not in text and closing not in text:
            continue
        if opening == closing:
            if text.count('"') == 1 and text[:1] == '"':
                text = text[1:]
            elif text.count('"') == 1 and text[-1:] == '"':
                text = text[:-1]
        elif text.count(opening) > text.count(closing) and text[0] == opening:
            text = text[1:]
        elif text.count(opening) < text.count(closing) and text[-1] == closing:
            text = text[:-1]
    return text.strip()
