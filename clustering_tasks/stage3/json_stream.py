"""Large JSON documents, read a megabyte at a time and checked to the last byte (IN-7).

A parser that reports each value takes several times as long as orjson, which needs the whole text.
So the text is cut between the members of the document's objects, which takes no more than finding
brackets and commas outside strings, and orjson parses each piece. What is left of the document
without those members, its frame, is parsed in the end: the pieces and the frame are valid if and
only if the document is.
"""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import ijson
import numpy as np
import orjson

from clustering_tasks.arrays import I64
from clustering_tasks.errors import BadInputError
from clustering_tasks.stage3.json_marks import Marks, find_marks, has_digits

_READ = 1 << 18  # what comes of a megabyte leaves the processor's cache: a third slower
_LARGEST = 1 << 26
_DEEPEST = 1000  # orjson stops at 1024 levels; ijson never does, and fills the memory
_MOST_NAMES = 1000  # each section costs a look at up to _READ bytes

_CLOSING = {b"{": b"}", b"[": b"]"}
_LONG_NUMBER = 19  # digits, which may exceed 64 bits


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

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Begin to read.

        Args:
            file: at its beginning.
            name: of the file, for messages.
        """
        self.frame = b""
        self._file = file
        self._name = name
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
        self._parse(self.frame)
        try:
            json.loads(self.frame)  # ijson overlooks half a token behind the end
        except ValueError as error:
            raise self._invalid(error) from None

    def _enter_section(self, depth: int) -> bool:
        """Move behind the bracket that opens the next section; to the end where there is none."""
        while True:
            marks = self._marks(depth)
            if opened := marks.at[marks.depth > 1][:1].tolist():
                self.frame += self._pass(opened[0] + 1)
                return True
            if not self._read():
                self.frame += self._pass(len(self._text))
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
                self.frame += self._pass(1)
                return
            if len(cuts):
                self._pass(int(cuts[-1]) + 1)
                first = False
            elif not self._read():
                self._parse(opening + self._text)
                return

    def _batch(self, section: str, opening: bytes, cuts: I64) -> Iterator[Batch]:
        """Yield the members that end at `cuts`, if they are those of an object."""
        text = self._text[: cuts[-1]]
        bounds = np.stack([np.append(0, cuts[:-1] + 1), cuts], axis=1)
        members = self._parse(opening + text + _CLOSING[opening])
        if len(members) != len(bounds):
            # nothing between two commas, or before the bracket, is for the parser to name
            self._parse(opening + b'"":' * (opening == b"{") + b"0," + text + _CLOSING[opening])
            self._refuse_twice(section, opening + text + _CLOSING[opening])
        if isinstance(members, dict):
            yield Batch(section, members, self._passed + bounds)

    def _refuse_twice(self, section: str, text: bytes) -> None:
        seen: set[str] = set()
        for name, _ in ijson.kvitems(io.BytesIO(text), "", use_float=True):
            if name in seen:
                raise BadInputError(
                    f"{self._name}, {section} has {name!r} twice. Let Stage 3 write the pair again"
                )
            seen.add(name)

    def _section_name(self) -> str:
        """Return the last name of the frame, whose last byte opens a section; "" in an array."""
        outer = next(bytes([byte]) for byte in self.frame if byte in b"{[")
        text = self.frame + _CLOSING[self.frame[-1:]] + _CLOSING[outer]
        members = self._parse(text)
        if not isinstance(members, dict):
            return ""
        if len(members) > _MOST_NAMES:
            raise BadInputError(
                f"{self._name} has more than {_MOST_NAMES} names in its outermost object, where "
                f"metadata_store, id_map and reverse_id_map belong. Let Stage 3 write the pair "
                f"again"
            )
        self._refuse_twice("the outermost object", text)
        return str(list(members)[-1])

    def _parse(self, text: bytes) -> Any:
        try:
            return parse(text)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise self._invalid(error) from None

    def _invalid(self, error: Exception) -> BadInputError:
        return BadInputError(
            f"{self._name} is not valid JSON ({_one_line(error)}): it may be truncated. "
            f"Let Stage 3 write it again"
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
                f"{_LARGEST >> 20} MiB, or a quotation mark is missing in it. Let Stage 3 write "
                f"the pair again"
            )
        more = self._file.read(max(_READ, len(self._text)))
        self._text += more
        return bool(more)

    def _pass(self, count: int) -> bytes:
        passed, self._text = self._text[:count], self._text[count:]
        self._passed += count
        return passed


def parse(text: bytes) -> Any:
    """Parse a short JSON text.

    Raises:
        ijson.JSONError: when it is none; the error quotes the place.
        UnicodeDecodeError: for half a surrogate pair in UTF-8.
    """
    if not has_digits(text, _LONG_NUMBER):  # which orjson would round to a float
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # ijson says more exactly why, or accepts it: "\ud83d" alone is read as "?"
    [value] = ijson.items(io.BytesIO(text), "", use_float=True)
    return value


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


def _one_line(error: Exception) -> str:
    """Return what the parser says, with the place that it quotes; bytes where that is no UTF-8."""
    text = error.args[0] if isinstance(error, ijson.JSONError) and error.args else error
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return " ".join(text.split())
