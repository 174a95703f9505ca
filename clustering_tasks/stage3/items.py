"""One row per item: what later steps need of its metadata, normalised, beside the original."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import DOMAINS, UNKNOWN_DOMAIN, Level
from clustering_tasks.stage3.dates import ANY_DATE, PlausibleDates, Span, read_dates
from clustering_tasks.stage3.examples import quoted
from clustering_tasks.stage3.fields import FACTS, LISTS, NAMES, normal_kind, read_kind, read_texts
from clustering_tasks.stage3.ids import as_id, id_problem
from clustering_tasks.stage3.long_values import LONGEST_VALUE, is_long
from clustering_tasks.stage3.oddities import Oddities, unread
from clustering_tasks.stage3.text import one_line, readable

Entry = dict[str, Any]
Said = dict[str, list[str]]
"""By field: the text of each item, "" where there is none."""

_TIME = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        pa.field("vector_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("document_id", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("event_type", pa.string()),
        pa.field("entity_type", pa.string()),
        pa.field("start_time", _TIME),
        pa.field("end_time", _TIME),
        pa.field("title", pa.string()),
        pa.field("mention", pa.string()),
        pa.field("sentence", pa.string()),
        pa.field("text", pa.string()),
        pa.field("primary_entities", pa.list_(pa.string())),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)

_KNOWN_DOMAINS = {**DOMAINS, **{long: long for long in DOMAINS.values()}}
_NUL = b"\\u0000"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")
_NAME_LENGTH = 60
HALF_CHARACTERS = "half_characters"
LONG_VALUES = "long_values"


def item_batch(
    entries: Mapping[str, Entry],
    level: Level,
    odd: Oddities,
    plausible: PlausibleDates = ANY_DATE,
) -> pa.RecordBatch:
    """Build the rows of some items, in their order.

    Args:
        entries: of each vector id, checked.
        level: of the items.
        odd: counts what is odd but no error: `undated`, `unparsable_dates`, `implausible_dates`,
            `unknown_domains`, `without_document`, `untyped`, `half_characters`, `long_values` and
            what is not read of a field.
        plausible: range of the dates that are taken.

    Raises:
        BadInputError: for metadata nested too deep to be written again.
    """
    metadata, stored = _stored(entries, level, odd)
    sources = [source_id(entry) for entry in entries.values()]
    documents = [document_id(*each, level) for each in zip(metadata, sources, strict=True)]
    types = [_kind("entity_type", each, odd) for each in metadata]
    if level.blocked_by == "entity_type":
        odd["untyped"] += types.count(None)
    if level.name != "storylines":
        odd["without_document"] += documents.count(None)
    _count_unread_facts(metadata, level, odd)
    times = [_times(each, level, odd, plausible) for each in metadata]
    fields = {*level.title_fields, *level.mention_fields, *level.sentence_fields}
    said = {
        field: [_joined(field, each.get(field), odd) for each in metadata]
        for field in sorted(fields.union(level.text_fields))
    }
    mentions = _first_texts(said, level.mention_fields)
    # a text field has been counted
    names_odd = Oddities() if NAMES in said else odd
    starts, ends = [start for start, _ in times], [end for _, end in times]
    columns: dict[str, list[Any] | pa.Array] = {
        "vector_id": list(entries),
        "source_id": sources,
        "document_id": documents,
        "domain": [_domain(each, odd) for each in metadata],
        "event_type": [_kind("event_type", each, odd) for each in metadata],
        "entity_type": types,
        "start_time": (started := pa.array(starts, _TIME)),
        "end_time": started if starts == ends else ends,  # as nearly always
        "title": _first_texts(said, level.title_fields),
        "mention": mentions,
        "sentence": _sentences(said, mentions, level),
        "text": [" ".join(filter(None, texts)) for texts in _by_item(said, level.text_fields)],
        "primary_entities": [_texts(NAMES, each.get(NAMES), names_odd) for each in metadata],
        "metadata": stored,
    }
    arrays = [_array(columns[field.name], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _array(values: list[Any] | pa.Array, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _stored(
    entries: Mapping[str, Entry], level: Level, odd: Oddities
) -> tuple[list[Entry], pa.Array]:
    """Return metadata as text that PostgreSQL stores, which has no NUL, and as JSON."""
    metadata = [entry["metadata"] for entry in entries.values()]
    written = []
    for row, name in enumerate(entries):
        try:
            written.append(orjson.dumps(metadata[row]))
        except (orjson.JSONEncodeError, RecursionError):
            metadata[row], text = _odd(metadata[row], name, level, odd)
            written.append(text)
    for row, text in enumerate(written):
        if _NUL in text:  # looking into each of them takes longer than writing it
            metadata[row] = _changed(metadata[row], lambda part: part.replace("\0", "\ufffd"))
            written[row] = _dump(metadata[row])
        if len(text) > LONGEST_VALUE:
            _count_long_values(metadata[row], odd)
    # by way of bytes: what orjson writes need not be checked for being UTF-8, four times the work
    return metadata, pa.array(written, pa.binary()).view(pa.string())


def _odd(metadata: Entry, vector_id: str, level: Level, odd: Oddities) -> tuple[Entry, bytes]:
    """Write metadata with halves of surrogate pairs, which no text may hold, or large numbers."""
    try:
        whole = _changed(metadata, lambda part: _HALF_A_PAIR.sub("\ufffd", part))
        if whole != metadata:
            odd[HALF_CHARACTERS] += 1
        return whole, _dump(whole)
    except (orjson.JSONEncodeError, RecursionError):
        raise BadInputError(
            f"{level.name}_metadata.json, metadata_store, item {quoted(vector_id)}: its metadata "
            f"is nested more than 250 levels deep. Let Stage 3 write it flatter"
        ) from None


def _dump(metadata: Entry) -> bytes:
    """Write JSON; orjson has no numbers beyond 64 bits, which the slower library writes."""
    try:
        return orjson.dumps(metadata)
    except orjson.JSONEncodeError as error:
        if "64-bit" not in str(error):
            raise
        return json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()


def _count_long_values(metadata: Entry, odd: Oddities) -> None:
    """Count values that answers and pages will cut."""
    for name, value in metadata.items():
        if is_long(value):
            odd.note(LONG_VALUES, one_line(name)[:_NAME_LENGTH], value)


def source_id(entry: Entry) -> str:
    """Return the id of a checked entry's item; whole numbers are ids too."""
    return as_id(entry["source_id"]) or ""


def document_id(metadata: dict[str, Any], source: str, level: Level) -> str | None:
    """Find an item's document: itself, the field, or the source id's first part (IN-4)."""
    if level.name == "documents":
        return source
    if document := (as_id(metadata.get("document_id")) or "").strip():
        return document
    document, _, _ = source.rpartition(f"_{level.cluster_type}_")
    return None if id_problem(document) else document


def _domain(metadata: dict[str, Any], odd: Oddities) -> str | None:
    domain = _kind("domain", metadata, odd)
    if domain is None:
        return None
    known = _KNOWN_DOMAINS.get(domain)
    odd["unknown_domains"] += known is None
    return known or UNKNOWN_DOMAIN


def _times(
    metadata: dict[str, Any], level: Level, odd: Oddities, plausible: PlausibleDates
) -> Span | tuple[None, None]:
    """Return an item's first and last time; both the same but for spans."""
    for field in level.date_fields:
        if (value := metadata.get(field)) is not None:
            span, problems = read_dates(value, plausible)
            for problem in problems:
                odd.note(problem, field, value)
            if span:
                return span
    odd["undated"] += 1
    return None, None


def _by_item(said: Said, fields: Iterable[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(said[field] for field in fields), strict=True)


def _first_texts(said: Said, fields: Iterable[str]) -> list[str | None]:
    return [next(filter(None, texts), None) for texts in _by_item(said, fields)]


def _sentences(said: Said, mentions: list[str | None], level: Level) -> list[str | None]:
    """The sentences that items stand in; Stage 3 puts an event's trigger before it."""
    if not level.sentence_fields:
        return [None] * len(mentions)
    each = zip(_first_texts(said, level.sentence_fields), mentions, strict=True)
    return [text.removeprefix(f"{mention}: ") if text else None for text, mention in each]


def _count_unread_facts(metadata: list[Entry], level: Level, odd: Oddities) -> None:
    """Count what `label` will not be able to read; it reads the metadata themselves."""
    for field, read in FACTS.get(level.name, {}).items():
        for each in metadata:
            value = each.get(field)
            if not read(value)[1]:
                odd.note(unread(field), field, value)


def _joined(field: str, value: object, odd: Oddities) -> str:
    """Return a text, or a list's texts as one, "" where there is none."""
    if value is None:
        return ""
    if isinstance(value, str) and field not in LISTS:
        return readable(value)
    return " ".join(_texts(field, value, odd))


def _texts(field: str, value: object, odd: Oddities) -> list[str]:
    texts, whole = read_texts(field, value)
    if not whole:
        odd.note(unread(field), field, value)
    return texts


def _kind(field: str, metadata: Entry, odd: Oddities) -> str | None:
    value = metadata.get(field)
    if isinstance(value, str):  # as nearly always
        return normal_kind(field, value)
    if value is None:
        return None
    kind, whole = read_kind(field, value)
    if not whole:
        odd.note(unread(field), field, value)
    return kind


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value of JSON with each of its texts changed, the names of its fields too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {change(name): _changed(item, change) for name, item in value.items()}
    return value
