"""Large JSON documents, read a megabyte at a time and checked to the last byte (IN-7).

A parser that reports each value takes several times as long as orjson, which needs the whole text.
So the text is cut between the members of the document's objects, which takes no more than finding
brackets and commas outside strings, and orjson parses each piece. What is left of the document
without those members, its frame, is parsed in the end: the pieces and the frame are valid if and
only if the document is.

What is no JSON may be anybody's file, behind a link: messages have the place in it, and no content.
"""

import json
import math
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import numpy as np
import orjson

from clustering_tasks.arrays import I64
from clustering_tasks.errors import BadInputError
from clustering_tasks.stage3.examples import quoted
from clustering_tasks.stage3.json_marks import Marks, find_marks, has_digits

_READ = 1 << 18  # what comes of a megabyte leaves the processor's cache: a third slower
_LARGEST = 1 << 26
_DEEPEST = 1000  # orjson stops at 1024 levels
_MOST_NAMES = 1000  # each section costs a look at up to _READ bytes

_CLOSING = {b"{": b"}", b"[": b"]"}
_LONG_NUMBER = 19  # digits, which may exceed 64 bits
_MOST_DIGITS = 308  # of what orjson reads as a float
_AGAIN = "Let Stage 3 write the pair again"
# The library's messages; they quote nothing.
_ENDS_EARLY = "Unterminated string starting at"
_WHY = {"Extra data": "text behind its end, as JSON lines or a second writer leave it"}


class NotJsonError(ValueError):
    """A text that is no JSON.

    Attributes:
        why: in words that quote nothing of it.
        at: the byte at which it is none.
    """

    def __init__(self, why: str, at: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.at = at


@dataclass(frozen=True)
class Batch:
    """Some members of one of the document's sections.

    Attributes:
        section: its name, "" where the document is an array.
        members: their names and values.
        bounds: (m, 2) where in the file each member begins and ends, its name included.
    """

    section: str
    members: dict[str, Any]
    bounds: I64


class Document:
    """A JSON object whose large members, its sections, are objects themselves.

    Attributes:
        frame: the document without its sections' members, as far as it has been read.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        is_ours: Callable[[str, str], bool] = lambda _section, _member: False,
    ) -> None:
        """Begin to read.

        Args:
            file: at its beginning.
            name: of the file, for messages.
            is_ours: whether a section and the name of a member of it are such as Stage 3 writes,
                and so may be in a message.
        """
        self.frame = b""
        self._file = file
        self._name = name
        self._is_ours = is_ours
        self._framed: list[tuple[int, int]] = []  # where parts of the frame begin, there and here
        self._text = b""  # read, but not passed yet; begins outside a string
        self._passed = 0  # bytes before it

    def batches(self) -> Iterator[Batch]:
        """Yield the sections' members, in the file's order; those of arrays are but checked.

        Raises:
            BadInputError: when the document is no JSON; for a name that comes twice in a batch or
                among the sections; for what would fill the memory: a member of more than 64 MiB, a
                depth of more than 1000 levels, more than 1000 sections.
        """
        depth = 0
        while self._enter_section(depth):
            yield from self._section()
            depth = 1
        self._parse_frame(self.frame)

    def _enter_section(self, depth: int) -> bool:
        """Move behind the bracket that opens the next section; to the end where there is none."""
        while True:
            marks = self._marks(depth)
            if opened := marks.at[marks.depth > 1][:1].tolist():
                self._pass_to_frame(opened[0] + 1)
                return True
            if not self._read():
                self._pass_to_frame(len(self._text))
                return False

    def _section(self) -> Iterator[Batch]:
        """Yield the members up to the bracket that closes the section, and move behind it."""
        section, opening = self._section_name(), self.frame[-1:]
        first = True
        while True:
            marks = self._marks(2)
            closed = marks.at[marks.depth < 2][:1].tolist()
            cuts = marks.at[marks.comma & (marks.depth == 2)]
            if closed:
                cuts = np.append(cuts[cuts < closed[0]], closed)
            nothing = closed and first and len(cuts) == 1 and not self._text[: cuts[0]].strip()
            if len(cuts) and not nothing:
                yield from self._batch(section, opening, cuts)
            if closed:
                self._pass(closed[0])
                self._pass_to_frame(1)
                return
            if len(cuts):
                self._pass(int(cuts[-1]) + 1)
                first = False
            elif not self._read():
                self._parse(opening + self._text, self._passed - 1)
                return

    def _batch(self, section: str, opening: bytes, cuts: I64) -> Iterator[Batch]:
        """Yield the members that end at `cuts`, if they are those of an object."""
        text = self._text[: cuts[-1]]
        bounds = np.stack([np.append(0, cuts[:-1] + 1), cuts], axis=1)
        try:
            members = parse(opening + text + _CLOSING[opening])
        except NotJsonError:
            self._refuse_member(section, opening, bounds)
        if len(members) != len(bounds):
            # nothing between two commas, or before the bracket, is for the parser to name
            start = opening + b'"":' * (opening == b"{") + b"0,"
            self._parse(start + text + _CLOSING[opening], self._passed - len(start))
            self._refuse_twice(section, opening + text + _CLOSING[opening])
        if isinstance(members, dict):
            yield Batch(section, members, self._passed + bounds)

    def _refuse_member(self, section: str, opening: bytes, bounds: I64) -> NoReturn:
        """Name the first member that is no JSON, or its place alone where the file is not ours."""
        for start, stop in bounds.tolist():
            member = self._text[start:stop]
            try:
                parse(opening + member + _CLOSING[opening])
            except NotJsonError as error:
                where = self._passed + start + max(error.at - 1, 0)
                raise self._invalid(error, where, section, member) from None
        # it is one member by one, and not together: a comma is missing or there is one too many
        raise self._invalid(NotJsonError("a comma is not where it belongs"), self._passed)

    def _refuse_twice(self, section: str, text: bytes) -> None:
        for name, count in Counter(names_in(text)).items():
            if count > 1:
                shown = quoted(name) if self._is_ours(section, name) else "a name"
                where = f", {section}" if self._is_ours(section, name) else ""
                raise BadInputError(f"{self._name}{where} has {shown} twice. {_AGAIN}")

    def _section_name(self) -> str:
        """Return the last name of the frame, whose last byte opens a section; "" in an array."""
        outer = next(bytes([byte]) for byte in self.frame if byte in b"{[")
        text = self.frame + _CLOSING[self.frame[-1:]] + _CLOSING[outer]
        members = self._parse_frame(text)
        if not isinstance(members, dict):
            return ""
        if len(members) > _MOST_NAMES:
            raise BadInputError(
                f"{self._name} has more than {_MOST_NAMES} names in its outermost object, where "
                f"metadata_store, id_map and reverse_id_map belong. {_AGAIN}"
            )
        self._refuse_twice(OUTERMOST, text)
        return str(list(members)[-1])

    def _parse(self, text: bytes, start: int) -> Any:
        """Parse a piece whose first byte is at `start` of the file."""
        try:
            return parse(text)
        except NotJsonError as error:
            raise self._invalid(error, start + error.at) from None

    def _parse_frame(self, text: bytes) -> Any:
        try:
            return parse(text)
        except NotJsonError as error:
            there, here = self._framed[bisect_right(self._framed, (error.at, math.inf)) - 1]
            raise self._invalid(error, here + error.at - there) from None

    def _invalid(
        self, error: NotJsonError, at: int, section: str = "", member: bytes = b""
    ) -> BadInputError:
        at = max(at, 0)
        size = self._file.seek(0, os.SEEK_END)
        cut_off = error.why == _ENDS_EARLY or at >= size - 1
        name = _first_name(member)
        item = f", {section}, item {quoted(name)}" if self._is_ours(section, name) else ""
        return BadInputError(
            f"{self._name}{item} is not valid JSON ({error.why}, "
            f"at byte {at:,} of {size:,})"
            f"{': it may be truncated' if cut_off else ''}. Let Stage 3 write it again"
        )

    def _marks(self, depth: int) -> Marks:
        marks = find_marks(self._text, depth, _DEEPEST)
        if marks.too_deep >= 0:
            raise BadInputError(
                f"{self._name} is nested more than {_DEEPEST} levels deep, at byte "
                f"{self._passed + marks.too_deep}. Let Stage 3 write it flatter"
            )
        return marks

    def _read(self) -> bool:
        """Read more of the file, twice as much each time; return whether there was any."""
        if len(self._text) > _LARGEST:
            raise BadInputError(
                f"{self._name}: what begins at byte {self._passed} is larger than "
                f"{_LARGEST >> 20} MiB, or a quotation mark is missing in it. {_AGAIN}"
            )
        more = self._file.read(max(_READ, len(self._text)))
        self._text += more
        return bool(more)

    def _pass_to_frame(self, count: int) -> None:
        self._framed.append((len(self.frame), self._passed))
        self.frame += self._pass(count)

    def _pass(self, count: int) -> bytes:
        passed, self._text = self._text[:count], self._text[count:]
        self._passed += count
        return passed


OUTERMOST = "the outermost object"


def parse(text: bytes) -> Any:
    """Parse a short JSON text; numbers beyond 64 bits and halves of surrogate pairs stay.

    Raises:
        NotJsonError: when it is none, or has a number that no program reads as a float.
    """
    if not has_digits(text, _LONG_NUMBER):  # which orjson would round to a float
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # the slower one says why, or takes it
    return _strictly(text, _DECODER)


def names_in(text: bytes) -> tuple[str, ...]:
    """Return the names of an object in their order, those that come twice too.

    Raises:
        NotJsonError: when it is no JSON.
    """
    found = _strictly(text, _NAMES)
    return found if isinstance(found, _Names) else ()


class _Names(tuple[str, ...]):
    """The names of an object; of what is in it they tell nothing."""


def _first_name(member: bytes) -> str:
    """Return the name that a member begins with, "" where there is none."""
    text = member.decode(errors="replace")
    try:
        return str(_NAMES.raw_decode(text, text.index('"'))[0])
    except ValueError:
        return ""


def _strictly(text: bytes, decoder: json.JSONDecoder) -> Any:
    """Decode as the standard says, which the library does but for what `_DECODER` refuses."""
    try:
        return decoder.decode(text.decode())
    except UnicodeDecodeError as error:
        raise NotJsonError("bytes that are no UTF-8", error.start) from None
    except json.JSONDecodeError as error:
        why = _WHY.get(error.msg, error.msg)
        raise NotJsonError(why, len(error.doc[: error.pos].encode())) from None
    except RecursionError:
        raise NotJsonError("nested too deep for a text with odd values") from None


def _no_constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is no number of JSON, though Python's json writes it")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise NotJsonError(f"a number of more than {_MOST_DIGITS} digits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJsonError("a number beyond 64 bits of floating point")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer, parse_float=_float)
_NAMES = json.JSONDecoder(
    object_pairs_hook=lambda pairs: _Names(name for name, _ in pairs),
    parse_constant=_no_constant,
    parse_int=_integer,
)


def read_members(file: BinaryIO, bounds: I64) -> dict[str, Any]:
    """Read members of an object a second time, in any order, by the bounds of their batches."""
    starts, stops = bounds.T
    # members beside each other are read in one go, with the comma between them
    first = np.flatnonzero(starts != np.append(-1, stops[:-1] + 1))
    last = np.append(first[1:], len(bounds))[: len(first)] - 1
    runs = zip(starts[first].tolist(), stops[last].tolist(), strict=True)
    pieces = [os.pread(file.fileno(), stop - start, start) for start, stop in runs]
    members: dict[str, Any] = parse(b"{" + b",".join(pieces) + b"}")
    return members
