"""Texts without what a tokeniser left in them."""

import re

# A tokeniser's marks: quotes as two signs, blanks around apostrophes, hyphens, within numbers.
# Every alternative begins with a sign or a blank, so that `re` looks at these alone.
_TOKENISED = re.compile(
    r"`|''| [,;.!?%)\]\u2019'-]|\[ |\( |\.(?:(?<=\d\.) \d|(?<=\b[A-Z]\.) [A-Z]\.)|,(?<=\d,) \d"
    r"|:(?<=\d:) \d"
)
_ATTRIBUTING = (
    r"police|reports?|sources?|officials?|stud(?:y|ies)|minist(?:er|ry)|media|survey|poll|says?|"
    r"what|how|why|who|when|where|but|or|as|the|a|an|is|are|was|here|live|video|photos?|watch"
)
_SAME_SIGNS = re.compile(r"''\s*([^']+?)\s*''")
_MENDING = [
    (re.compile(pattern), repl)
    for pattern, repl in (
        (r"``\s*", "\u201c"),
        (r"\s*''", "\u201d"),
        (r"`\s*(?=\w)", "\u2018"),
        (r"(?<=\w) ([\u2019']) ?(s|re|ve|ll|d|m|t)\b", r"\1\2"),
        (r"(?<=s) ([\u2019']) (?=\w)", r"\1 "),
        (r"([$\u00a3\u20ac]\d+)\. (?=\d)", r"\1."),
        (r"(?<=\s)'([^']{2,40}) '(?=[\s,.])", r"'\1'"),
        (r"(?<=[A-Za-z]) - (?=(?:Up|And|Off|Out|Year|Old|Run|Time)\b)", "-"),
        (r"(?<=-[Aa]nd) - (?=\w)", "-"),
        (r"(?<=\d)([.:]) (?=\d{1,2}\b(?! [A-Z]))", r"\1"),
        (r"(?<=\d), (?=\d{3}\b)", ","),
        (r"\b([A-Z])\. (?=[A-Z]\.)", r"\1."),
        (r"(?<=\d) - (?=\d)", "\u2013"),
        (rf"(?<=[a-z0-9]) - (?=[a-z])(?!(?:{_ATTRIBUTING})\b)", "-"),
        (r"\b([Mm]id|[Ee]x|[Pp]ro|[Aa]nti|[Nn]on|[Pp]re|[Pp]ost) - (?=\w)", r"\1-"),
        (r"\b([ap])\. m\b\.?", r"\1.m."),
        (r"\s+(?=[,;.)\]\u201d])(?!\.\.)", ""),
        (r"(?<=[\[(])\s+", ""),
        (r" (?=%)", ""),
    )
]


def mended(text: str) -> str:
    """Return a text without what a tokeniser left: blanks in numbers and words, doubled signs."""
    if _TOKENISED.search(text) is None:
        return text
    if "``" not in text:
        text = _SAME_SIGNS.sub("``\\1''", text)
    for pattern, repl in _MENDING:
        text = pattern.sub(repl, text)
    return text.strip()
