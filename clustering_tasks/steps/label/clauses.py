"""Wordings of a sentence that can stand alone: the whole, or main clauses of a long one.

Without a parser: signs and classes of English words show where a clause ends. A sentence of another
language stays whole, or is left out if it is too long.
"""

import re
from functools import lru_cache

from clustering_tasks.language.english import ENGLISH
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
_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")

_SAYING = (
    r"sa(?:id|ys?)|told|tells?|report(?:ed|s)?|announce[ds]?|add(?:ed|s)|claim(?:ed|s)|confirm(?:ed|s)"
    r"|state[ds]?|according to|wrote|writes|notes?|noted|warn(?:ed|s)|explain(?:ed|s)|show(?:ed|s)"
    r"|believe[ds]?|suggest(?:ed|s)?|learned"
)
_SAID_AFTER = re.compile(
    rf",\s+(?:[^,]{{0,90}}?\b(?:{_SAYING})\b[^,]{{0,60}}|(?:it was|as) \w+ed\b[^,]{{0,30}})[.,]?$"
)
_SAID_BEFORE = re.compile(
    rf"^(?:According to [^,]{{2,60}}, |[^,\"\u201c]{{2,60}}? (?:{_SAYING})"
    r"(?: (?:[A-Z]\w+day|yesterday|today))? that |(?:Police|Officials|Authorities) sa(?:id|y)"
    r"(?: [A-Z]\w+day)? (?=(?:the|an?|two|three|\d|[A-Z])))(?=\w)"
)
# The same with whom they said it to, or when.
_TOLD_BEFORE = re.compile(
    rf"^[^,\"\u201c]{{2,60}}? (?:{_SAYING})(?: (?!that\b)[^\s,\"\u201c]+){{1,9}} that (?=\w)"
)
_SPEAKERS = ("According", "Police", "Officials", "Authorities")
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
    found = [whole] if len(whole) <= LONGEST else []
    if not found:
        found = [short for short in _shortened(whole) if is_whole(short)]
    return [each for each in dict.fromkeys(map(tidy, found)) if each]


def head(sentence: str) -> str:
    """Return the beginning of a long sentence that can stand alone; empty where there is none.

    It says less than `clauses`: the last aside is left out, then a second verb or adjuncts.
    """
    text = _without_brackets(_without_frame(sentence))
    if _OPENS_BESIDE.match(text) or ENGLISH.isdisjoint(text.split()):
        return ""
    text = text[: min((m.start() for m in _BESIDE.finditer(text, LONGEST)), default=len(text))]
    ends = [at for m in _SECOND_VERB.finditer(text, _LONG_ENOUGH) if (at := m.start()) <= LONGEST]
    text = next((text[:at] for at in reversed(ends) if is_clause(text[:at])), text)
    text = _without_adjuncts(text)
    return tidy(text) if len(text) <= LONGEST and is_whole(text) and is_clause(text) else ""


def _without_frame(sentence: str) -> str:
    """Take off an outlet's name, a dateline, who said it."""
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
    said = _SAID_AFTER.search(sentence)
    if said and has_verb(sentence[: said.start()]):
        sentence = sentence[: said.start()]
    opens = " that " in sentence or sentence.startswith(_SPEAKERS)
    said = _SAID_BEFORE.match(sentence) if opens else None
    if said and has_verb(sentence[said.end() :]):
        sentence = _capital(sentence[said.end() :])
    return sentence


def subclauses(sentence: str) -> list[str]:
    """Return clauses within a sentence that have a subject of their own."""
    if ENGLISH.isdisjoint(sentence.split()):
        return []
    parts = _CONJUNCTION.split(_AGE.sub("", _without_brackets(sentence)))
    told = _TOLD_BEFORE.match(sentence)
    found = _shortened(_capital(sentence[told.end() :])) if told else []
    found = [form for each in found if is_clause(form := tidy(each))]
    for part in parts[1:]:
        if not _SUBJECT.match(part):
            continue
        for form in (part, part.partition(",")[0]):
            form = _capital(tidy(form))
            if _SHORTEST_CLAUSE <= len(form) <= LONGEST and is_clause(form):
                found.append(form)
                break
        else:
            found += _cut(part) if len(part) > LONGEST else []
    return list(dict.fromkeys(map(_capital, found)))


def _shortened(sentence: str) -> list[str]:
    """Take off what stands beside the main clause, until it is short."""
    if ENGLISH.isdisjoint(sentence.split()):
        return []
    text = _without_brackets(sentence)
    for _ in range(3):
        if (lead := _ADVERBIAL.match(text)) and has_verb(text[lead.end() :]):
            text = _capital(text[lead.end() :])
    bare = _AGE.sub("", _APPOSITION.sub("", text))
    found = list[str]()
    for form in dict.fromkeys((text, bare, _DAY.sub("", text), _DAY.sub("", bare))):
        found += [form] if len(form) <= LONGEST else _cut(form)
    return found


def _cut(form: str) -> list[str]:
    """Cut a long sentence before what stands beside its main clause, and else before an adjunct."""
    if not _OPENS_BESIDE.match(form):
        for at in reversed([m.start() for m in _BESIDE.finditer(form, 0, LONGEST + 4)]):
            bare = _without_adjuncts(form[:at])
            if len(bare) <= LONGEST and is_clause(bare):
                return [bare]
    form = _without_adjuncts(form)
    return [form] if len(form) <= LONGEST and is_clause(form) else []


def _without_adjuncts(form: str) -> str:
    """Take adjuncts of place and time off the end, until a text is short and closed."""
    while (len(form) > LONGEST or _ENDS_IN_NUMBER.search(form)) and not _COMMA.search(form):
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
