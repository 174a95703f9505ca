"""Cursors: where a page of a list ended, for the caller to hand back unread.

A cursor carries the run that its list was read from, so that paging goes on in that run when
another one is published; the last row's sort key; and a digest of the question, because a cursor of
one list says nothing in another. It is signed: what comes back is what was given.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from airflow.configuration import conf

from stage4.api.problems import ProblemError

Row = dict[str, Any]
_SIGNATURE_BYTES = 16


@dataclass(frozen=True)
class Cursor:
    """The end of a page.

    Attributes:
        run_id: that the list was read from; None where a list belongs to no run.
        key: the values of the last row in the columns that the list is sorted by.
    """

    run_id: int | None
    key: tuple[Any, ...]


def encode(cursor: Cursor, question: Mapping[str, Any]) -> str:
    """Write a cursor for the next page of `question`.

    Args:
        cursor: its key holds JSON's types only.
        question: everything that chooses and orders the list's rows, but not how many.
    """
    content = orjson.dumps([cursor.run_id, list(cursor.key), _digest(question)])
    return base64.urlsafe_b64encode(_sign(content) + content).decode().rstrip("=")


def decode(text: str, question: Mapping[str, Any]) -> Cursor:
    """Read a cursor that `encode` has written for the same question.

    Raises:
        ProblemError: 422, when it was changed, made up, or belongs to another question.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused("it is not one of this API") from None
    signature, content = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(content)):
        raise _refused("it is not one of this API")
    run_id, key, digest = orjson.loads(content)
    if digest != _digest(question):
        raise _refused("it belongs to a list with other filters or another order")
    return Cursor(run_id, tuple(key))


def cut(
    rows: Sequence[Row],
    limit: int,
    *,
    run_id: int | None,
    key: Callable[[Row], tuple[Any, ...]],
    question: Mapping[str, Any],
) -> tuple[Sequence[Row], str | None]:
    """Cut a page out of rows of which one more was asked for.

    Args:
        rows: up to `limit` + 1.
        limit: rows of the page.
        run_id: that they are of.
        key: takes from a row what the next page needs.
        question: see `encode`.

    Returns:
        the page, and the cursor of the next one; None when this is the last.
    """
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode(Cursor(run_id, key(page[-1])), question)


def _refused(why: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"`cursor` cannot be used: {why}. Hand back `next_cursor` as it is, with the same "
        "parameters, or leave it out to start again.",
    )


def _digest(question: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in question.items() if value is not None}
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _sign(content: bytes) -> bytes:
    return hmac.digest(_secret(), content, "sha256")[:_SIGNATURE_BYTES]


@cache
def _secret() -> bytes:
    """Derive the key from the secret that all of an Airflow's API servers share."""
    return hashlib.sha256(b"stage4 cursors\0" + conf.get("api", "secret_key").encode()).digest()
