"""Cursors: where a page of a list ended, for the caller to hand back unread.

A cursor carries the run that its list was read from, so that paging goes on in that run when
another one is published; the last row's sort key; and a digest of the question, because a cursor of
one list says nothing in another. It is signed: what comes back is what was given.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from airflow.configuration import conf
from itsdangerous import BadData, URLSafeSerializer

from stage4.api.problems import ProblemError

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Cursor:
    """The end of a page.

    Attributes:
        load_id: that the list was read from; None where a list belongs to no run.
        key: the values of the last row in the columns that the list is sorted by.
    """

    load_id: int | None
    key: tuple[Any, ...]


def encode(cursor: Cursor, question: Mapping[str, Any]) -> str:
    """Write a cursor for the next page of `question`.

    Args:
        cursor: its key holds JSON's types only.
        question: everything that chooses and orders the list's rows, but not how many.
    """
    return str(_serializer().dumps([cursor.load_id, cursor.key, _digest(question)]))


def decode(text: str, question: Mapping[str, Any]) -> Cursor:
    """Read a cursor that `encode` has written for the same question.

    Raises:
        ProblemError: 422, when it was changed, made up, or belongs to another question.
    """
    try:
        load_id, key, digest = _serializer().loads(text)
    except BadData:
        raise refused("it is not one of this API") from None
    if digest != _digest(question):
        raise refused("it belongs to a list with other filters or another order")
    return Cursor(load_id, tuple(key))


@dataclass(frozen=True)
class Page:
    """One page of a list, as it is asked for.

    Attributes:
        question: everything that chooses and orders the list's rows, but not how many.
        limit: rows of the page.
        cursor: where the page before it ended; None: this is the first.
    """

    question: Mapping[str, Any]
    limit: int
    cursor: Cursor | None

    @property
    def load_id(self) -> int | None:
        """The run in which the list began; None: no run is bound yet."""
        return self.cursor.load_id if self.cursor else None

    @property
    def after(self) -> tuple[Any, ...] | None:
        """The sort key of the row before the page; None: from the start."""
        return self.cursor.key if self.cursor else None

    @property
    def before(self) -> int | None:
        """`after` of a list that is sorted by descending numbers alone."""
        return self.after[0] if self.after else None

    @property
    def rows(self) -> int:
        """How many rows to read: one more tells whether another page follows."""
        return self.limit + 1

    def cut(
        self,
        rows: Sequence[_Row],
        key: Callable[[_Row], tuple[Any, ...]],
        load_id: int | None = None,
    ) -> tuple[Sequence[_Row], str | None]:
        """Cut the page out of the rows that were read.

        Args:
            rows: `self.rows` of them, or fewer when there are no more.
            key: takes from a row what the next page needs, in JSON's types.
            load_id: that they are of; None where a list belongs to no run.

        Returns:
            the page, and the cursor of the next one; None when this is the last.
        """
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        return shown, encode(Cursor(load_id, key(shown[-1])), self.question)


def page(question: Mapping[str, Any], limit: int, cursor: str | None) -> Page:
    """Tell which page of a list is asked for.

    Args:
        question: see `Page`.
        limit: rows of the page.
        cursor: `next_cursor` of the page before; None: the first page.

    Raises:
        ProblemError: 422, see `decode`.
    """
    return Page(question, limit, decode(cursor, question) if cursor else None)


def refused(why: str) -> ProblemError:
    """Say why a cursor cannot be used, and what to do."""
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"`cursor` cannot be used: {why}. Hand back `next_cursor` as it is, with the same "
        "parameters, or leave it out to start again.",
    )


def _digest(question: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in question.items() if value is not None}
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@cache
def _serializer() -> URLSafeSerializer:
    """Sign with a key derived from the secret that all of an Airflow's API servers share."""
    return URLSafeSerializer(
        conf.get("api", "secret_key"),
        salt="stage4 cursors",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
