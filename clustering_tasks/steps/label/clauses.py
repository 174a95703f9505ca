"""Wordings of a sentence that can stand alone: the whole, or main clauses of a long one.

Without a parser: signs and classes of English words show where a clause ends. A sentence of another
language stays whole, or is left out if it is too long.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from clustering_tasks.language.english import ENGLISH
from clustering_tasks.steps.label.attributions import (
    CLAIMING,
    REPORTING,
    Attributed,
    attributed,
    told_by,
)
from clustering_tasks.steps.label.sentences import tidy
from clustering_tasks.steps.label.verbs import WORD, has_verb, is_clause, is_whole

LONGEST = 100
_SHORTEST_HEAD = 4  # words before an outlet's name
_LONGEST_OUTLET = 4
_SHORTEST_CLAUSE = 20

_DASHES = "|\u00b7\u2022-\u2013\u2014"
_OUTLET = re.compile(r"\s+(?:[|\u00b7\u2022]|[-\u2013\u2014]{1,2})\s+([^|\u00b7\u2022]{2,40})$")
_DATELINE = re.compile(
    r"^(?:[A-Z][A-Za-z.'\u2019 -]{1,30},? ){0,2}?(?:\([^()]{2,30}\)\s*)?"
    r"(?:--|[\u2013\u2014-])\s+(?=[A-Z\"\u201c])"
)
_IS_DATELINE = re.compile(r"^[A-Z][A-Z.'\u2019 -]+[A-Z]\b|\([^()]+\)")
_QUOTES = frozenset("\"\u201c\u201d\u2018\u2019'")
_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")

_REPORTED_AFTER = re.compile(
    rf",\s+(?:[^,]{{0,90}}?\b(?:{REPORTING})\b[^,]{{0,60}}"
    r"|(?:it was|as) (?:reported|announced|confirmed|learned|expected)\b[^,]{0,30})[.,]?$"
)
_REPORTED_BEFORE = re.compile(
    rf"^[^,\"\u201c]{{2,60}}? (?:{REPORTING})(?: (?:[A-Z]\w+day|yesterday|today))? that (?=\w)"
)
# The same with whom they told it, or when.
_REPORTED_TO_BEFORE = re.compile(
    rf"^[^,\"\u201c]{{2,60}}? (?:{REPORTING})(?: (?!that\b)[^\s,\"\u201c]+){{1,9}} that (?=\w)"
)
# What a long sentence adds: ", but police say that nobody was hurt".
_SAID_BESIDES = re.compile(
    rf",\s+(?:and|but|who|which|where|when|while|as)\b[^,]{{0,90}}?\b(?:{CLAIMING})\b[^,]{{0,60}}[.,]?$"
)
_ADVERBIAL = re.compile(
    r"^(?:(?:Earlier |Late |Early )?(?:On|In|At|After|Following|During|Despite|With|For|Since"
    r"|By|From|Last|Yesterday|Today|Meanwhile|However|Also|But|And|So|Then|Well|Now|Here)\b"
    r"[^,]{0,60}), "
    r"(?=[\"\u201c]?\w)"
)
# What a comma opens that is beside the main clause.
_BESIDE = re.compile(
    r",\s+(?=(?:(?:\w+ of )?whom|who|whose|which|where|when|while|after|before|as|because|since"
    r"|although|though|despite|following|amid|but|and|or|so|with|without|including|according|saying|leading|ending"
    r"|making|leaving|\w+ing|the|a|an|his|her|its|their|one|just|on|in|at|for|from|by|only|if|it)\b)"
    r"|\s*;\s*|\s+(?:--|[\u2013\u2014])\s+|:\s+"
    r"|\s+(?=(?:after|before|when|while|because|although|though|following|amid|where|who|which"
    r"|despite|during|once|until|unless)\s|on account of\s)"
)
# What a subject does besides. `A man shot and wounded three` is cut nowhere: it stands early.
_SECOND_VERB = re.compile(r"\s+(?:and|but)\s+(?=(?:\w+ly\s+)?\w+ed\b)")
_LONG_ENOUGH = 50
_APPOSITION = re.compile(
    r",\s+(?=(?:the|a|an|his|her|its|their|one|who|which|whose|where|also|now|both|formerly|aged|led|headed|chaired|owned|backed"
    r"|including|about|near|south|north|east|west|longtime|former|known|described)\b)[^,]{2,160},"
    r"(?=\s+(?!\w+ing\b|and\b|or\b|but\b|who\b|which\b)[a-z])"
)
_AGE = re.compile(r",\s+(?:aged )?\d{1,3}(?:,(?=\s)|$)")
_OPENS_BESIDE = re.compile(
    r"(?:\w+ )?(?:as|after|before|when|while|because|although|though|if|since|despite|with"
    r"|following|during|amid|until|once|whether)\b",
    re.IGNORECASE,
)
_ADJUNCT = re.compile(
    r"^(.*\S)\s+(?:early |late |earlier )?"
    r"(?:on|at|in|near|during|over|around|outside|inside|from(?=\s\d))\s+"
    r"(?!(?:least|most|the age|a row|order|case)\b)(?:[^,;:]|(?<=\d)[,:](?=\d))+$",
    re.IGNORECASE,
)
_COMMA = re.compile(r",(?!\d)")
_ENDS_IN_NUMBER = re.compile(r"\s(?:at|from)\s\d[\d:.]*(?:\s?[ap]\.?m\.?)?$")
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_CONJUNCTION = re.compile(
    r"(?:,\s+(?:and|but)|,?\s+(?:when|after|before|while|because|where|as|that|although|though"
    r"|since|if|until|sa(?:id|ys?)|reported|announced|confirmed|told \w+))+"
    rf"\s+(?:{_WEEKDAY} (?:that )?)?"
)
_SUBJECT = re.compile(
    r"(?:the|a|an|his|her|its|their|one|two|three|four|five|six|seven|eight|nine|ten|more than"
    r"|at least|about|several|some|many|[^\W\d_a-z][\w'\u2019-]+|\d[\w-]*|police|officials"
    r"|former)\s+\w"
)
_DAY = re.compile(
    rf"\s*,?\s+(?:on |late |early |last )*(?:{_WEEKDAY}|yesterday|today)"
    r"(?: (?:morning|evening|night|afternoon))?"
    r"(?=$|[,.]| (?:on|in|at|after|for|from|by|to|with|over|about|against|because|into|of)\b)"
)


@lru_cache(1 << 14)
def clauses(sentence: str) -> list[str]:
    """Return what one of `sentences` says in at most `LONGEST` characters, the fullest first."""
    whole = _without_frame(sentence)
    spoken = attributed(whole)
    if spoken is not None and not spoken.leads and _QUOTES.isdisjoint(spoken.told):
        whole = spoken.behind(spoken.told, max(LONGEST, len(whole))) or whole
    if len(whole) <= LONGEST:
        found = [whole]
    elif spoken is None:
        found = [short for short in _shortened(whole) if is_whole(short)]
    else:
        found = _attributed_forms(spoken, [spoken.told, *_shortened(spoken.told, _room(spoken))])
        if spoken.leads:
            found += [short for short in _shortened(whole) if is_whole(short)]
    return [each for each in dict.fromkeys(map(tidy, found)) if each]


def _room(spoken: Attributed) -> int:
    """Return how long a wording may be that who says it stands behind."""
    return LONGEST - len(f", {spoken.brief}")


def _attributed_forms(spoken: Attributed, forms: Iterable[str]) -> list[str]:
    """Put who says it behind each wording that leaves room for it."""
    told = (spoken.behind(form, LONGEST) for form in map(tidy, forms) if is_whole(form))
    return [form for form in told if form]


def head(sentence: str) -> str:
    """Return the beginning of a long sentence that can stand alone; empty where there is none.

    It says less than `clauses`: the last aside is left out, then a second verb or adjuncts.
    """
    sentence = _without_frame(sentence)
    spoken = attributed(sentence)
    if spoken is not None and not spoken.leads:
        found = _attributed_forms(spoken, [_beginning(spoken.told, _room(spoken))])
        return found[0] if found else ""
    return _beginning(sentence, LONGEST)


def _beginning(sentence: str, most: int) -> str:
    text = _without_brackets(sentence)
    if _OPENS_BESIDE.match(text) or ENGLISH.isdisjoint(text.split()):
        return ""
    text = text[: min((m.start() for m in _BESIDE.finditer(text, most)), default=len(text))]
    ends = [at for m in _SECOND_VERB.finditer(text, _LONG_ENOUGH) if (at := m.start()) <= most]
    text = next((text[:at] for at in reversed(ends) if is_clause(text[:at])), text)
    text = _without_adjuncts(text, most)
    return tidy(text) if len(text) <= most and is_whole(text) and is_clause(text) else ""


def _without_frame(sentence: str) -> str:
    """Take off an outlet's name, a dateline, who reported or announced it."""
    dashed = any(sign in sentence for sign in _DASHES)
    outlet = _OUTLET.search(sentence) if dashed else None
    if outlet and len(WORD.findall(sentence[: outlet.start()])) >= _SHORTEST_HEAD:
        named = WORD.findall(outlet[1])
        if 0 < len(named) <= _LONGEST_OUTLET and all(
            word[0].isupper() or word[0].isdigit() for word in named
        ):
            sentence = sentence[: outlet.start()]
    dateline = _DATELINE.match(sentence) if dashed and not sentence.isupper() else None
    if dateline and _IS_DATELINE.match(dateline[0]):
        sentence = sentence[dateline.end() :]
    after = _REPORTED_AFTER.search(sentence)
    if after and attributed(sentence) is None and has_verb(sentence[: after.start()]):
        sentence = sentence[: after.start()]
    beside = _SAID_BESIDES.search(sentence) if len(sentence) > LONGEST else None
    if beside and has_verb(sentence[: beside.start()]):
        sentence = sentence[: beside.start()]
    before = _REPORTED_BEFORE.match(sentence) if " that " in sentence else None
    if before and has_verb(sentence[before.end() :]):
        sentence = _capital(sentence[before.end() :])
    return sentence


def unattributed(sentence: str) -> list[str]:
    """Return what a sentence says, without who says it; none where it is claimed or believed."""
    sentence = _without_frame(sentence)
    spoken = attributed(sentence)
    within = subclauses(sentence, said=False)
    if spoken is None or not spoken.saying:
        return within
    return [*dict.fromkeys([*clauses(spoken.told), *within])]


def subclauses(sentence: str, *, said: bool = True) -> list[str]:
    """Return clauses within a sentence that have a subject of their own.

    Args:
        sentence: a long one.
        said: whether who only says one, and does not claim or believe it, stands behind it.
    """
    if ENGLISH.isdisjoint(sentence.split()):
        return []
    spoken = attributed(sentence)
    text = _AGE.sub("", _without_brackets(sentence if spoken is None else spoken.told))
    reported = _REPORTED_TO_BEFORE.match(sentence) if spoken is None else None
    forms = _shortened(_capital(sentence[reported.end() :])) if reported else []
    found, end = [form for form in map(tidy, forms) if is_clause(form)], 0
    for joint in _CONJUNCTION.finditer(text):
        if end:
            found += _within(text[end : joint.start()], spoken, said=said)
        spoken = spoken or told_by(text[end : joint.end()])  # and so is what follows
        end = joint.end()
    found += _within(text[end:], spoken, said=said) if end else []
    return list(dict.fromkeys(found))


def _within(part: str, spoken: Attributed | None, *, said: bool) -> list[str]:
    """Return what of a part of a sentence can stand alone, with who says it."""
    if not _SUBJECT.match(part):
        return []
    if spoken is not None and spoken.saying and not said:
        spoken = None
    forms = (_capital(tidy(form)) for form in (part, part.partition(",")[0]))
    most = LONGEST if spoken is None else _room(spoken)
    fits = (form for form in forms if _SHORTEST_CLAUSE <= len(form) <= most and is_clause(form))
    form = next(fits, None)
    cut = [form] if form else _cut(part, most) if len(part) > most else []
    cut = list(map(_capital, cut))
    return cut if spoken is None else _attributed_forms(spoken, cut)


def _shortened(sentence: str, most: int = LONGEST) -> list[str]:
    """Take off what stands beside the main clause, until it has at most so many characters."""
    if ENGLISH.isdisjoint(sentence.split()):
        return []
    text = _without_brackets(sentence)
    for _ in range(3):
        if (lead := _ADVERBIAL.match(text)) and has_verb(text[lead.end() :]):
            text = _capital(text[lead.end() :])
    bare = _AGE.sub("", _APPOSITION.sub("", text))
    found = list[str]()
    for form in dict.fromkeys((text, bare, _DAY.sub("", text), _DAY.sub("", bare))):
        found += [form] if len(form) <= most else _cut(form, most)
    return found


def _cut(form: str, most: int) -> list[str]:
    """Cut a long sentence before what stands beside its main clause, and else before an adjunct."""
    if not _OPENS_BESIDE.match(form):
        for at in reversed([m.start() for m in _BESIDE.finditer(form, 0, most + 4)]):
            bare = _without_adjuncts(form[:at], most)
            if len(bare) <= most and is_clause(bare):
                return [bare]
    form = _without_adjuncts(form, most)
    return [form] if len(form) <= most and is_clause(form) else []


def _without_adjuncts(form: str, most: int) -> str:
    """Take adjuncts of place and time off the end, until a text is short and closed."""
    while (len(form) > most or _ENDS_IN_NUMBER.search(form)) and not _COMMA.search(form):
        shorter = _ADJUNCT.match(form)
        if shorter is None:
            break
        form = shorter[1]
    return form


def _without_brackets(text: str) -> str:
    # `re` tries every blank of a text: most have no bracket
    return _BRACKETS.sub("", text) if ")" in text or "]" in text else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
