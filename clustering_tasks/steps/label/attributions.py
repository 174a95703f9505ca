"""Who says what a sentence tells: a claim stays one when the sentence is cut.

Without a parser, of English words. What somebody reports, announces or confirms stands for itself;
what somebody says, claims, alleges or believes is told with who does.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from clustering_tasks.language.english import AUTHORITIES, words
from clustering_tasks.steps.label.verbs import has_verb

LONGEST_SPEAKER = 35
REPORTING = (
    r"report(?:ed|s)?|announce[ds]?|confirm(?:ed|s)?|notes?|noted|explain(?:ed|s)|show(?:ed|s)"
    r"|learned"
)
_SAYING = r"sa(?:id|ys?)|told|tells?|add(?:ed|s)|stated|wrote|writes|warn(?:ed|s)?"
CLAIMING = (
    rf"{_SAYING}|claim(?:ed|s)?|alleg(?:ed|es?)|insist(?:ed|s)?|argue[ds]?|believe[ds]?|think|thought"
    r"|suggest(?:ed|s)?|suspect(?:ed|s)?|fear(?:ed|s)?"
)
_ANY = re.compile(rf"\b(?:{CLAIMING}|[Aa]ccording to)\b")
_WEEKDAY = r"(?: (?:on )?(?:[A-Z]\w+day|yesterday|today))?"
_BEFORE = re.compile(
    rf"(?P<frame>[^,\"\u201c]{{2,60}}? (?:{CLAIMING})(?: (?!that\b)[^\s,\"\u201c]+){{0,9}})"
    r" that (?=\w)"
    rf"|(?P<short>(?:Police|Officials|Authorities) sa(?:id|y)){_WEEKDAY}"
    r" (?=(?:the|an?|two|three|\d|[A-Z])\w*)"
)
_ACCORDING = re.compile(r"(?P<frame>According to [^,]{2,60}), (?=\w)")
_AFTER = re.compile(
    rf",\s+(?P<frame>(?!(?:and|but|or|who|which|where|when|while|after|before|because|if|so|as)\b)"
    rf"(?:according to [^,]{{2,60}}|[^,]{{0,60}}?\b(?:{CLAIMING})\b[^,]{{0,60}}"
    r"|it (?:is|was) (?:said|claimed|alleged|believed|thought|feared|suggested)))[.,]?$"
)
# The same with more of the sentence behind it.
_WITHIN = re.compile(
    r",\s+(?P<frame>according to [^,]{2,60}"
    rf"|(?:(?!(?:and|but|or|who|which|where|when|while|as)\b)[^\s,]+ ){{1,5}}(?:{CLAIMING})),\s+"
)
_OWN = re.compile(
    rf"(?P<speaker>.+?) (?:(?:also|later|has|had|have|today|yesterday) )?(?P<verb>{CLAIMING})\b"
)
_INVERTED = re.compile(rf"(?P<verb>{CLAIMING}) (?P<speaker>.+)$")
_HEAD = re.compile(r"\s+(?:of|for|at|from|in|on|with|who|which|to|and|as)\s")
_ONLY_SAID = re.compile(rf"\b(?:{_SAYING}|[Aa]ccording to)\b")
# What somebody is, before a name of two words.
_ROLE = re.compile(
    r"^(?:the )?(?:[\w-]+ ){0,3}?(?:minister|president|chancellor|secretary|governor|mayor|chief"
    r"|head|chairman|chairwoman|director|manager|spokesman|spokeswoman|spokesperson|lawyer|professor"
    r"|doctor|coroner|sheriff|captain|admiral|general|senator|leader|teacher|member|backbencher) "
    r"(?=(?-i:[^\W\d_a-z])\w+ (?-i:[^\W\d_a-z]))",
    re.IGNORECASE,
)
_PASSIVE = re.compile(r"it (?:is|was) \w+$")
_TO_NOBODY = {"told": "said", "tells": "says", "tell": "say"}
_SMALL = AUTHORITIES | words(
    """
    the a an his her its their our one two some many several local he she they it we i
    prosecutors investigators witnesses experts scientists doctors critics lawyers
    """
)
_OPENS_A_CLAUSE = words("while when after before as if because since although though where who")
# What a clause is told by: "Prosecutors say that", "police said on Monday".
_TOLD_BY = re.compile(
    rf"(?P<frame>[^,]{{1,60}}? (?:{CLAIMING})(?: (?:[A-Z]\w+|on|in|to|the|reporters)){{0,4}})"
    r"(?: that)?\s*$"
)


@dataclass(frozen=True)
class Attributed:
    """A sentence that says who says it.

    Attributes:
        told: the sentence without that.
        source: who says it, to stand behind a comma: `Ann Lee said`; empty: nobody that could.
        leads: whether it stands in front, where a cut sentence keeps it.
        saying: whether it is only said, and not claimed, alleged, believed.
        turns: whether it stands in front and reads better behind: `Police said the road is open`.
    """

    told: str
    source: str
    saying: bool
    leads: bool = False
    turns: bool = False

    @property
    def brief(self) -> str:
        """Who says it, without what they are: `Ann Lee said` of `Prime Minister Ann Lee said`."""
        return _ROLE.sub("", self.source)

    def behind(self, text: str, most: int) -> str:
        """Return a text with who says it behind it.

        Args:
            text: what is said.
            most: characters of both; empty where there is no room, or nobody to stand there.
        """
        forms = (f"{text}, {source}" for source in (self.source, self.brief) if source)
        return next((form for form in forms if len(form) <= most), "")


@lru_cache(1 << 12)
def attributed(sentence: str) -> Attributed | None:
    """Say who says a sentence; None: the sentence itself does."""
    if _ANY.search(sentence) is None:  # as in most: the others take ten times as long
        return None
    if found := _AFTER.search(sentence):
        told = sentence[: found.start()]
        if has_verb(told):
            return _by(found["frame"], told)
    if found := _ACCORDING.match(sentence):
        return replace(_by(found["frame"], _capital(sentence[found.end() :])), turns=True)
    if found := _BEFORE.match(sentence):
        told = _capital(sentence[found.end() :])
        if has_verb(told) and not _has_verb_before(found["frame"] or ""):
            turns = found["frame"] is None
            spoken = _by(found["short"] if turns else found["frame"], told)
            return replace(spoken, leads=not turns, turns=turns)
    if found := _WITHIN.search(sentence):
        before, behind = sentence[: found.start()], sentence[found.end() :]
        joined = f"{before}, {behind}" if has_verb(before) else f"{before} {behind}"
        return _by(found["frame"], joined)
    return None


def told_by(before: str) -> Attributed | None:
    """Say whether what follows a text is what somebody in it says.

    Args:
        before: what stands before a clause, with the word that joins them.
    """
    found = _TOLD_BY.search(before.rpartition(", ")[2])
    return _by(found["frame"].strip(), "") if found else None


def _has_verb_before(frame: str) -> bool:
    """Whether more than a speaker stands before the verb: `It was late when Ann Lee said`."""
    own = _OWN.match(frame)
    return own is not None and has_verb(own["speaker"])


def _by(frame: str, told: str) -> Attributed:
    saying = bool(_ONLY_SAID.search(frame))
    return Attributed(told, _source(frame), saying)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _source(frame: str) -> str:
    """Make of `Ann Lee of Norwood told parliament on Monday` what stands behind a comma."""
    low = frame[:1].lower() + frame[1:]
    if _PASSIVE.match(low):
        return low
    if low.startswith("according to "):
        speaker = _short(frame[len("according to ") :])
        return f"according to {speaker}" if speaker else ""
    found = _INVERTED.match(frame) or _OWN.match(frame)
    if found is None:
        return ""
    speaker = _short(found["speaker"])
    return f"{speaker} {_TO_NOBODY.get(found['verb'], found['verb'])}" if speaker else ""


def _short(speaker: str) -> str:
    """Shorten a speaker to who it is; empty where that takes too long."""
    first = speaker.partition(" ")[0]
    if first.lower() in _OPENS_A_CLAUSE or " - " in speaker:
        return ""
    if first.lower() in _SMALL:
        speaker = first.lower() + speaker[len(first) :]
    if len(speaker) > LONGEST_SPEAKER:
        speaker = _HEAD.split(speaker)[0]
    return speaker if len(speaker) <= LONGEST_SPEAKER else ""
