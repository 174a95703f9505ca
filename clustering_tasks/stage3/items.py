"""One row per item: what later steps need of its metadata, normalised, beside the original."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
import pyarrow as pa

from clustering_tasks.errors import BadInputError
from clustering_tasks.levels import DOMAINS, UNKNOWN_DOMAIN, Level
from clustering_tasks.stage3.dates import parse_date

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
        pa.field("text", pa.string()),
        pa.field("primary_entities", pa.list_(pa.string())),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)

_KNOWN_DOMAINS = {**DOMAINS, **{long: long for long in DOMAINS.values()}}
_ROWS_PER_BATCH = 50_000  # Python objects of one batch are let go before the next is read


def item_table(
    entries: Iterable[tuple[str, dict[str, Any]]], level: Level
) -> tuple[pa.Table, Counter[str]]:
    """Build the table of items, in the order of the entries.

    Returns:
        the table, of `SCHEMA`, and counts of what is odd but no error: `undated`,
        `unparsable_dates`, `unknown_domains`, `without_document`.
    """
    odd: Counter[str] = Counter()
    rows = _rows(entries, level, odd)
    batches = [
        pa.RecordBatch.from_pylist(batch, schema=SCHEMA)
        for batch in iter(lambda: list(islice(rows, _ROWS_PER_BATCH)), [])
    ]
    return pa.Table.from_batches(batches, schema=SCHEMA), odd


def _rows(
    entries: Iterable[tuple[str, dict[str, Any]]], level: Level, odd: Counter[str]
) -> Iterator[dict[str, Any]]:
    for vector_id, entry in entries:
        metadata, source_id = entry["metadata"], entry["source_id"]
        start, end = _times(metadata, level, odd)
        document_id = _document_id(metadata, source_id, level)
        odd["without_document"] += document_id is None and level.name != "storylines"
        yield {
            "vector_id": vector_id,
            "source_id": source_id,
            "document_id": document_id,
            "domain": _domain(metadata, odd),
            "event_type": _text(metadata.get("event_type")),
            "entity_type": _text(metadata.get("entity_type")),
            "start_time": start,
            "end_time": end,
            "title": _first_text(metadata, level.title_fields),
            "mention": _first_text(metadata, level.mention_fields),
            "text": _all_text(metadata, level.text_fields),
            "primary_entities": _texts(metadata.get("primary_entities")),
            "metadata": _as_json(metadata, vector_id, level),
        }


def _as_json(metadata: dict[str, Any], vector_id: str, level: Level) -> str:
    try:
        return orjson.dumps(_storable(metadata)).decode()
    except (orjson.JSONEncodeError, RecursionError):
        raise BadInputError(
            f"{level.name}_metadata.json, metadata_store, item {vector_id!r}: its metadata is "
            f"nested more than 250 levels deep. Let Stage 3 write it flatter"
        ) from None


def _document_id(metadata: dict[str, Any], source_id: str, level: Level) -> str | None:
    """Find an item's document: itself, the field, or the source id's first part (IN-4)."""
    if level.name == "documents":
        return source_id
    document, separator, _ = source_id.rpartition(f"_{level.cluster_type}_")
    return _text(metadata.get("document_id")) or (document if separator else None) or None


def _domain(metadata: dict[str, Any], odd: Counter[str]) -> str | None:
    domain = _text(metadata.get("domain"))
    if domain is None:
        return None
    known = _KNOWN_DOMAINS.get(domain.lower())
    odd["unknown_domains"] += known is None
    return known or UNKNOWN_DOMAIN


def _times(
    metadata: dict[str, Any], level: Level, odd: Counter[str]
) -> tuple[datetime | None, datetime | None]:
    """Return an item's first and last time; both the same but for spans."""
    for field in level.date_fields:
        if (value := metadata.get(field)) not in (None, "", []):
            parts = value if isinstance(value, list) else [value]
            times = [time for part in parts if (time := parse_date(part)) is not None]
            odd["unparsable_dates"] += len(times) < len(parts)
            if times:
                return min(times), max(times)
    odd["undated"] += 1
    return None, None


def _first_text(metadata: dict[str, Any], fields: Iterable[str]) -> str | None:
    texts = (_all_text(metadata, (field,)) for field in fields)
    return next((text for text in texts if text), None)


def _all_text(metadata: dict[str, Any], fields: Iterable[str]) -> str:
    return " ".join(text for field in fields for text in _texts(metadata.get(field)))


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in map(_text, values) if text is not None]


def _text(value: object) -> str | None:
    """Return a text without surrounding blanks, None for anything else or nothing."""
    return _storable(value).strip() or None if isinstance(value, str) else None


def _storable(value: Any) -> Any:
    """Replace NUL, the one character that PostgreSQL stores in no text, at any depth."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return value
