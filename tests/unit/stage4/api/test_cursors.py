"""Cursors: what is handed out is what comes back, and nothing else does."""

import base64
from typing import Any

import pytest
from airflow.configuration import conf
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from stage4.api.cursors import Cursor, decode, encode, page
from stage4.api.problems import ProblemError

QUESTION = {"level": "events", "order": "size", "q": None}
CURSOR = Cursor(17, (45, "event_7f3a9c2e41b0"))
KEYS = st.tuples(
    st.none()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)


@given(load_id=st.none() | st.integers(1, 2**53), key=KEYS)
def test_what_was_written_is_read(load_id: int | None, key: tuple[Any, ...]) -> None:
    text = encode(Cursor(load_id, key), QUESTION)
    assert decode(text, QUESTION) == Cursor(load_id, key)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_parameter_that_is_not_set_is_like_one_that_is_none() -> None:
    text = encode(CURSOR, QUESTION)
    assert decode(text, {"order": "size", "level": "events"}) == CURSOR


@pytest.mark.parametrize(
    "question", [QUESTION | {"order": "label"}, QUESTION | {"q": "summit"}, {"order": "size"}, {}]
)
def test_the_cursor_of_another_question_is_refused(question: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as refused:
        decode(encode(CURSOR, QUESTION), question)
    assert refused.value.status_code == 422
    assert "other filters or another order" in refused.value.detail


@given(st.data())
def test_a_cursor_with_a_changed_bit_is_refused(data: st.DataObject) -> None:
    parts = encode(CURSOR, QUESTION).split(".")
    assert len(parts) == 2, "content and signature"
    part = data.draw(st.integers(0, 1))
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    place = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[place // 8] ^= 1 << place % 8
    parts[part] = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    with pytest.raises(ProblemError, match="not one of this API"):
        decode(".".join(parts), QUESTION)


def test_what_airflow_signs_with_the_same_secret_is_no_cursor() -> None:
    content, _, _ = encode(CURSOR, QUESTION).partition(".")
    secret = conf.get("api", "secret_key")
    for serializer in (URLSafeSerializer(secret), URLSafeSerializer(secret, "cookie-session")):
        with pytest.raises(ProblemError, match="not one of this API"):
            decode(serializer.dumps([17, [45, "event_7f3a9c2e41b0"], ""]), QUESTION)
    with pytest.raises(ProblemError, match="not one of this API"):
        decode(content, QUESTION)


def test_a_cursor_of_the_former_form_is_refused() -> None:
    """A caller that was paging during an upgrade begins again."""
    former = base64.urlsafe_b64encode(bytes(16) + b'[17,[45],"4cba8924353427ac"]').decode()
    with pytest.raises(ProblemError, match="leave it out to start again"):
        decode(former.rstrip("="), QUESTION)


@given(st.text(max_size=100))
def test_whatever_is_sent_is_refused(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        decode(text, QUESTION)
    assert refused.value.status_code == 422


def test_a_page_is_cut_where_there_are_more_rows() -> None:
    rows = [{"id": number} for number in range(4)]
    first = page(QUESTION, 3, None)
    assert (first.load_id, first.after, first.before, first.rows) == (None, None, None, 4)
    shown, following = first.cut(rows, lambda row: (row["id"],), load_id=5)
    assert [row["id"] for row in shown] == [0, 1, 2]
    assert following
    assert decode(following, QUESTION) == Cursor(5, (2,))
    second = page(QUESTION, 3, following)
    assert (second.load_id, second.after, second.before) == (5, (2,), 2)


@pytest.mark.parametrize("rows", [[], [{"id": 0}], [{"id": number} for number in range(4)]])
def test_nothing_follows_the_last_page(rows: list[dict[str, int]]) -> None:
    assert page(QUESTION, 4, None).cut(rows, lambda row: (row["id"],), load_id=5) == (rows, None)
