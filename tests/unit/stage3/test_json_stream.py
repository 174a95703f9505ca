"""Reading a document in batches of members, compared with parsers that take it whole."""

import io
import json
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clustering_tasks.errors import BadInputError
from clustering_tasks.stage3 import json_stream
from clustering_tasks.stage3.json_marks import has_digits
from clustering_tasks.stage3.json_stream import Batch, Document, parse, read_members

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"', "\\", '\\"', "{", "]", ",", "\\\\", "é", "\0", "9" * 25]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=5) | VALUES, max_size=4)
WRITERS: list[dict[str, Any]] = [
    {},
    {"indent": 1},
    {"separators": (",", ":")},
    {"ensure_ascii": False},
]


def batches(text: bytes, read: int = 1 << 18) -> list[Batch]:
    """Read a document, `read` bytes at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_READ", read)
        return list(Document(io.BytesIO(text), "some.json").batches())


def sections(found: list[Batch]) -> dict[str, dict[str, Any]]:
    together: dict[str, dict[str, Any]] = {}
    for batch in found:
        together.setdefault(batch.section, {}).update(batch.members)
    return together


def whole(text: bytes) -> Any:
    """What the standard's parser accepts, objects as lists of their pairs; None for no JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=lambda pairs: ("object", pairs),
            parse_constant=refuse,
        )
    except ValueError:
        return None


def repeats_a_name(document: Any) -> bool:
    """Whether a name comes twice in the outermost object or in one of its sections."""
    if not isinstance(document, tuple):
        return False
    inner = [value[1] for _, value in document[1] if isinstance(value, tuple)]
    return any(len(dict(pairs)) < len(pairs) for pairs in [document[1], *inner])


@given(DOCUMENTS, st.sampled_from(WRITERS), st.integers(1, 80))
def test_the_members_are_those_of_the_whole_document(
    document: dict[str, Any], style: dict[str, Any], read: int
) -> None:
    text = json.dumps(document, **style).encode()
    expected = {
        name: value for name, value in document.items() if isinstance(value, dict) and value
    }
    assert sections(batches(text, read=read)) == expected


@given(DOCUMENTS, st.integers(1, 80))
def test_members_are_found_again_in_any_order(document: dict[str, Any], read: int) -> None:
    text = json.dumps(document).encode()
    for batch in batches(text, read=read):
        for member, (start, stop) in zip(batch.members.items(), batch.bounds, strict=True):
            assert parse(b"{" + text[start:stop] + b"}") == dict([member])


def test_members_are_read_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"a": {"one": 1, "two": [2], "three": {"3": "drei"}}}, indent=2))
    (batch,) = batches(path.read_bytes())
    with path.open("rb") as file:
        found = read_members(file, batch.bounds[[2, 0]])
        assert list(found.items()) == [("three", {"3": "drei"}), ("one", 1)]
        assert list(read_members(file, batch.bounds).items()) == list(batch.members.items())
        assert list(read_members(file, batch.bounds[[1, 2, 0]])) == ["two", "three", "one"]
        assert read_members(file, batch.bounds[:0]) == {}


@given(
    DOCUMENTS,
    st.integers(1, 80),
    st.integers(0, 10_000),
    st.integers(0, 2),
    st.sampled_from([b"", *(bytes([byte]) for byte in b'"\\{}[],:0 x\x00\xff\n'), b"}{", b",,"]),
)
def test_a_damaged_document_is_refused_as_by_a_parser_of_the_whole(
    document: dict[str, Any], read: int, at: int, removed: int, added: bytes
) -> None:
    text = json.dumps(document).encode()
    at %= len(text) + 1
    text = text[:at] + added + text[at + removed :]
    oracle = whole(text)
    assume(not repeats_a_name(oracle))
    if oracle is None:
        with pytest.raises(BadInputError, match=r"some\.json is not valid JSON \(.+, at byte "):
            batches(text, read=read)
    else:
        batches(text, read=read)


@pytest.mark.parametrize("read", [1, 1000])
@pytest.mark.parametrize(
    "members", [",", " , ", '"b": 1,', ',"b": 1', '"b": 1,,"c": 2', '"b": 1, ,', '"b"', '"b": {,}']
)
def test_a_comma_without_a_member_is_refused(members: str, read: int) -> None:
    for text in ('{"a": {%s}}', '{"x": {}, "a": {%s}}', '{"x": {"y": 1}, "a": {%s}, "z": 2}'):
        with pytest.raises(BadInputError, match="not valid JSON"):
            batches((text % members).encode(), read=read)


def test_half_a_token_behind_the_end_is_refused() -> None:
    for rest in (b'"', b"tru", b'"}', b"{", b'"a": {}', b"\\"):
        with pytest.raises(BadInputError, match="not valid JSON"):
            batches(b'{"a": {"b": 1}}' + rest)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": {"x": 1, "y": 2, "x": 3}}', "a has 'x' twice"),
        ('{"a": {"x": 1}, "b": {}, "a": {"y": 1}}', "the outermost object has 'a' twice"),
        ('{"a": 5, "a": {"y": 1}}', "the outermost object has 'a' twice"),
    ],
)
def test_a_name_that_is_twice_there_is_refused(text: str, where: str) -> None:
    with pytest.raises(BadInputError, match=where):
        list(Document(io.BytesIO(text.encode()), "some.json", lambda *_: True).batches())
    with pytest.raises(BadInputError, match=r"^some\.json has a name twice"):
        batches(text.encode())


@pytest.mark.parametrize(
    "number",
    [2**63, -(2**63) - 1, 17_000_000_000_000_000_000, 2**64, 10**40, int("1" * 308)],
)
def test_a_number_beyond_64_bits_is_read_to_the_last_digit(number: int) -> None:
    for text in ('{"a": {"b": %s}}', '{"a": {"b": {"c": [1, %s]}}}'):
        found = sections(batches((text % number).encode()))["a"]["b"]
        assert found in (number, {"c": [1, number]})
    assert batches(f'{{"a": {number}}}'.encode()) == []


@pytest.mark.parametrize("number", ["1" * 400, "1e400", "-1e999", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused_with_its_item(number: str) -> None:
    text = b'{"a": {"first": {"x": 1}, "second": {"x": %s}}}' % number.encode()
    with pytest.raises(BadInputError, match=r", a, item 'second' is not valid JSON \(.*number"):
        list(Document(io.BytesIO(text), "some.json", lambda *_: True).batches())


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"{SECRET}: x",
        f'"{SECRET}" x',
        f'{{"{SECRET}": {SECRET}}}',
        f'{{"a": {{"{SECRET}": NaN}}}}',
        f'{{"a": {{"b": 1, "{SECRET}": "{SECRET}',
        f'{{"a": {{"b": 1}}}} {SECRET}',
        f'{{"{SECRET}": {{}}, "{SECRET}": {{}}}}',
        f'{{"a": {{"{SECRET}": [1,], "{SECRET}": 2}}}}',
        f'{{"a": {{"{SECRET}": "\\{SECRET}"}}}}',
        f"[{SECRET}]",
    ],
)
def test_no_message_quotes_a_file_that_is_not_ours(text: str) -> None:
    for read in (1, 1000):
        with pytest.raises(BadInputError) as refused:
            batches(text.encode(), read=read)
        assert SECRET not in str(refused.value)
        assert "h" + SECRET[1:3] not in str(refused.value)


@given(DOCUMENTS, st.integers(1, 80), st.integers(0, 10_000))
def test_the_byte_that_is_named_is_where_the_document_ends_to_be_json(
    document: dict[str, Any], read: int, at: int
) -> None:
    text = json.dumps(document, ensure_ascii=False).encode()
    at %= len(text) + 1
    damaged = text[:at] + b"\x01" + text[at:]
    with pytest.raises(BadInputError, match=r"at byte ([\d,]+) of") as refused:
        batches(damaged, read=read)
    found = re.search(r"at byte ([\d,]+) of ([\d,]+)", str(refused.value))
    assert found is not None
    place, size = (int(each.replace(",", "")) for each in found.groups())
    assert size == len(damaged)
    assert place <= at  # a text that is not closed, or a token that is cut, is named by its start


@pytest.mark.parametrize("before", range(20))
def test_a_long_number_is_found_wherever_it_stands(before: int) -> None:
    assert has_digits(b" " * before + b"1" * 19 + b" ", 19)
    assert has_digits(b" " * before + b"1" * 25, 19)
    assert not has_digits(b" " * before + b"1" * 18 + b" " + b"2" * 18, 19)


def test_half_a_surrogate_pair_is_kept_until_it_is_counted() -> None:
    assert sections(batches(rb'{"a": {"b": "x\ud83d"}}')) == {"a": {"b": "x\ud83d"}}


@pytest.mark.parametrize("opening", [b"[", b'{"x":'])
@pytest.mark.parametrize("before", [b"", b'{"a": ', b'{"metadata_store": {"x": {"y": '])
def test_deep_nesting_is_refused_before_it_fills_the_memory(before: bytes, opening: bytes) -> None:
    text = before + opening * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(BadInputError, match=r"some\.json is nested more than 1000 levels deep"):
            batches(text)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_a_thousand_levels_are_read() -> None:
    deep = b'{"a": {"b": ' + b"[" * 998 + b"]" * 998 + b"}}"
    assert len(batches(deep)) == 1
    with pytest.raises(BadInputError, match="1000 levels"):
        batches(deep.replace(b"[]", b"[[]]"))


def test_a_member_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_LARGEST", 1000)
    small = b'{"a": {"x": "%s", "y": 1}}'
    assert len(sections(batches(small % (b"x" * 900), read=100))["a"]) == 2
    with pytest.raises(BadInputError, match=r"begins at byte 7 is larger .* quotation mark"):
        batches(small % (b"x" * 5000), read=100)


def test_a_document_of_many_small_objects_is_refused_soon() -> None:
    text = json.dumps({f"doc_{n}": {"n": n} for n in range(2000)}).encode()
    with pytest.raises(BadInputError, match="more than 1000 names in its outermost object"):
        batches(text)


def test_members_of_arrays_are_checked_but_not_given_out() -> None:
    assert batches(b'{"a": [1, {"b": 2}], "c": 3}') == []
    assert {batch.section for batch in batches(b'[{"a": 1}, {"b": 2}]')} == {""}
    with pytest.raises(BadInputError, match="not valid JSON"):
        batches(b'{"a": [1, {"b": 2},,3], "c": 3}')
