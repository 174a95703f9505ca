"""Full-text queries: PostgreSQL's websearch form, whose last word may still be being typed."""

import re

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Value

from stage4.database import schema

# Not one that is excluded (`-sports`), nor one in quotes that are closed.
_LAST_WORD = re.compile(r'(?:^|[\s"])([^\s"-][^\s"]*)$')

# PostgreSQL's own text of the query, with `:*` behind each lexeme that the last word consists of
# (`prime-min`: three). Only where that text ends with the last word as an operand of its own: one
# that is negated has `!` or parentheses about it, and stays as it is. The planner reckons all this
# out beforehand, so that the index over words answers: of 20,000 clusters the 50 best of the 17,700
# that have a word with `s` take 36 ms, those of three letters 4 ms.
_QUERY = r"""
(CASE WHEN {last} <> '' AND right(' ' || {whole}::text, length({last}) + 1) = ' ' || {last}
THEN (
    left({whole}::text, -length({last})) || regexp_replace({last}, {lexeme}, '\&:*', 'g')
)::tsquery
ELSE {whole} END)
"""
_LEXEME = "'(''|[^'])*'"


def values(text: str) -> dict[str, str]:
    """Name the values of the two queries' placeholders."""
    return {"text": text, "last_word": last_word(text)}


def whole_words() -> Composable:
    """The query that a text asks, every word of it a whole one."""
    return _parsed("text")


def begun_words() -> Composable:
    """The query that a text asks, its last word matched by whatever begins with it."""
    last = _parsed("last_word") + SQL("::text")
    return SQL(_QUERY).format(whole=_parsed("text"), last=last, lexeme=Value(_LEXEME))


def last_word(text: str) -> str:
    """Take the word that a text ends with, if its beginning is to be enough; else nothing."""
    found = _LAST_WORD.search(text.rstrip())
    return found[1] if found else ""


def _parsed(name: str) -> Composable:
    statement = SQL(f"websearch_to_tsquery({{}}, %({name})s)")
    return statement.format(Value(schema.SEARCH_CONFIGURATION))
