"""Reading a listed table's rows, in one snapshot of its database, by COPY."""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct

from psycopg.sql import SQL, Composable, Composed, Identifier

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.groups.source import InputSettings
from clustering_tasks.settings.source_tables import SourceTable
from clustering_tasks.stage3.examples import examples
from clustering_tasks.stage3.ids import id_problem
from stage4.database.connection import Database
from stage4.source_tables.choice import Chosen
from stage4.source_tables.inspection import Column, of_level, relation

_EXAMPLES = 5
_VECTOR_HEADER = 4  # dimension and an unused number, 16 bits each
_DOUBLE = Struct(">4xd")  # an element's length and value
_FLOAT8 = "_float8"
_ARRAY_HEADER = 20  # dimensions, whether there are NULLs, type; length and lower bound of the first
_NULL_OF_AN_ARRAY = 4  # position of the second of these
_NO_DIMENSIONS = 12  # bytes of an empty array
_ROWS = """
SELECT rows.{id}::text AS id, {vector} AS vector, {metadata} AS metadata, {fields} AS fields
FROM {table} AS rows WHERE {condition} ORDER BY rows.{id}::text COLLATE "C"
"""
_COUNTS = """
SELECT count(*), count(rows.{vector}), {newest}::text FROM {table} AS rows WHERE {level}
"""


@dataclass(frozen=True)
class Row:
    """A row that can be written: its id, its vector (float32, little-endian), its metadata."""

    source_id: str
    vector: bytes
    metadata: bytes


@dataclass(frozen=True)
class Size:
    """How much there is to read.

    Attributes:
        rows: of the level.
        with_vector: those of them that have a vector.
        newest_update: the newest time in the column `updated_at`; None: unknown.
    """

    rows: int
    with_vector: int
    newest_update: str | None


@dataclass
class _Problems:
    """What keeps a table from being read: rule to the first ids that break it, and how many do."""

    found: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, rule: str, row: str) -> None:
        self.counts[rule] = self.counts.get(rule, 0) + 1
        rows = self.found.setdefault(rule, [])
        if len(rows) < _EXAMPLES:
            rows.append(row)

    def __str__(self) -> str:
        return "; ".join(
            f"{rule}: {examples(rows)}"
            + (f", ... ({self.counts[rule]} in all)" if self.counts[rule] > len(rows) else "")
            for rule, rows in self.found.items()
        )


def measure(connection: Database, table: SourceTable) -> Size:
    """Count the rows of the snapshot that the connection's transaction sees."""
    updated = None if table.updated_at is None else Identifier(table.updated_at)
    query = SQL(_COUNTS).format(
        vector=Identifier(table.vector),
        newest=SQL("NULL") if updated is None else SQL("max(rows.{})").format(updated),
        table=relation(table.table),
        level=of_level(table),
    )
    return Size(*(connection.execute(query).fetchone() or (0, 0, None)))


def read_rows(
    connection: Database, chosen: Chosen, columns: dict[str, Column], settings: InputSettings
) -> Iterator[Row]:
    """Yield the rows, sorted by id, one at a time.

    Args:
        connection: inside a transaction with one snapshot.
        chosen: the table.
        columns: of the table.
        settings: what the vectors must be.

    Raises:
        BadInputError: at the end, when all rows have been looked at: for ids that are NULL, twice
            there or none; for vectors that are NULL, of another dimension or of another length.
    """
    problems = _Problems()
    before: str | None = None
    kind = columns[chosen.table.vector].type
    query = SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(_query(chosen.table, kind))
    with connection.cursor().copy(query) as copy:
        copy.set_types(["text", "bytea", "text", "text"])
        for source_id, raw, *texts in copy.rows():
            if (problem := _id_problem(source_id, before)) is not None:
                problems.note(problem, str(source_id))
                continue
            before = source_id
            values = None if raw is None else _VALUES.get(kind, _elements)(raw)
            row = _row(source_id, raw, values, texts, chosen.table, settings)
            if isinstance(row, Row):
                yield row
            else:
                problems.note(*row)
    if problems.found:
        raise BadInputError(
            f"table `{chosen.name}` ({chosen.table.shown}) has rows that cannot be read: {problems}"
        )


def _query(table: SourceTable, kind: str) -> Composed:
    skip = SQL("AND rows.{} IS NOT NULL").format(Identifier(table.vector))
    return SQL(_ROWS).format(
        id=Identifier(table.id),
        vector=_vector(table.vector, kind),
        metadata=_metadata(table),
        fields=_fields(table),
        table=relation(table.table),
        condition=SQL(" ").join(
            [of_level(table), *([skip] if table.null_vectors == "skip" else [])]
        ),
    )


def _vector(name: str, kind: str) -> Composable:
    column = SQL("rows.{}").format(Identifier(name))
    # `halfvec` has no binary form of float32. What float32 cannot hold would end the whole COPY, so
    # double precision is converted here, where the row has an id.
    return column + SQL("::real[]") if kind == "halfvec" else column


def _metadata(table: SourceTable) -> Composable:
    """The column of metadata as text of JSON, NULL where there is none."""
    if table.metadata is None:
        return SQL("NULL::text")
    return SQL("rows.{}::text").format(Identifier(table.metadata))


def _fields(table: SourceTable) -> Composable:
    """The columns of further metadata as text of JSON, NULL where there are none.

    As JSON, not as `jsonb`: that ends the whole COPY at a half character or a NUL.
    """
    if not table.all_fields:
        return SQL("NULL::text")
    columns = SQL(", ").join(
        SQL("rows.{} AS {}").format(Identifier(column), Identifier(name))
        for name, column in table.all_fields.items()
    )
    # of a row, because `json_build_object` takes no more than 50 fields
    return SQL("(SELECT row_to_json(found)::text FROM (SELECT {}) AS found)").format(columns)


def _id_problem(source_id: str | None, before: str | None) -> str | None:
    if source_id is None:
        return "ids that are NULL"
    if source_id == before:
        return "ids that are not unique"
    problem = id_problem(source_id)
    return None if problem is None else f"ids of which each {problem}"


def _row(
    source_id: str,
    raw: bytes | None,
    values: "array[float] | None",
    texts: Sequence[str | None],
    table: SourceTable,
    settings: InputSettings,
) -> Row | tuple[str, str]:
    """Build a row, or name the rule that it breaks and the row."""
    if raw is None:
        return "vectors that are NULL (`null_vectors`: `skip` leaves such rows out)", source_id
    if values is None:
        return "vectors that are no array of one dimension without NULLs", source_id
    if len(values) != settings.dimension:
        rule = f"vectors of another dimension than input.dimension={settings.dimension}"
        return rule, f"{source_id} (dimension {len(values)})"
    norm = math.hypot(*values)
    scales = table.normalise and 0 < norm < math.inf
    if not scales and not abs(norm - 1) <= settings.norm_tolerance:  # NaN compares false
        return _norm_rule(table, settings), f"{source_id} (norm {norm:.6g})"
    text = _object(texts)
    if text is None:
        return "metadata that are no object", source_id
    if scales:
        values = array("f", [value / norm for value in values])
    return Row(source_id, values.tobytes(), text.encode())


def _norm_rule(table: SourceTable, settings: InputSettings) -> str:
    if table.normalise:
        return "vectors without a direction (nan: NaN or infinite values)"
    return (
        f"vectors that are not L2-normalised (norm 1 within "
        f"input.norm_tolerance={settings.norm_tolerance:g}; nan: NaN or infinite values; "
        f"`normalise`: true scales them)"
    )


def _object(texts: Sequence[str | None]) -> str | None:
    """Make one object of texts of JSON, NULLs left out; None where one is no object.

    Of a name that comes twice readers take the later value: that of `fields`.
    """
    given = [text.strip() for text in texts if text is not None]
    if not all(text.startswith("{") for text in given):
        return None
    inner = (text[1:-1].strip() for text in given)
    return f"{{{','.join(text for text in inner if text)}}}"


def _vector_values(raw: bytes) -> "array[float]":
    return _floats(raw[_VECTOR_HEADER:])


def _floats(raw: bytes) -> "array[float]":
    """Read float32 in network order as this machine's, which is little-endian."""
    values = array("f", raw)
    values.byteswap()
    return values


def _elements(raw: bytes) -> "array[float] | None":
    """Read an array of float32; None for one with NULLs or of several dimensions."""
    if len(raw) == _NO_DIMENSIONS:
        return array("f")
    if _is_odd(raw):
        return None
    return _floats(raw[_ARRAY_HEADER:])[1::2]  # before each element its length


def _doubles(raw: bytes) -> "array[float] | None":
    """Read an array of float64 as float32, as `_elements` does; too large ones are infinite."""
    if len(raw) == _NO_DIMENSIONS:
        return array("f")
    if _is_odd(raw):
        return None
    return array("f", (value for (value,) in _DOUBLE.iter_unpack(raw[_ARRAY_HEADER:])))


def _is_odd(raw: bytes) -> bool:
    return raw[3] != 1 or bool(raw[_NULL_OF_AN_ARRAY + 3])


_VALUES = {"vector": _vector_values, _FLOAT8: _doubles}
