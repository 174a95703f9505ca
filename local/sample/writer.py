"""Writes the sample's files in the form of Stage 3's contract."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import faiss
import orjson

from local.sample.articles import Article, write_articles
from local.sample.encoder import DIMENSION, TextEncoder
from local.sample.newsroom import FIRST_DAY
from local.sample.records import (
    Record,
    document_record,
    entity_records,
    event_records,
    storyline_records,
)

_BATCH = 16_384
_WEIGHT_TEXTS = 2_000
_NOISE = 0.25
_MADE_BY = "sample.json"
_RECORDS: dict[str, Callable[[Article], Iterable[Record]]] = {
    "documents": lambda article: [document_record(article)],
    "events": event_records,
    "entities": entity_records,
    "storylines": storyline_records,
}


def _encoder(articles: list[Article], seed: int) -> TextEncoder:
    step = max(1, len(articles) // _WEIGHT_TEXTS)
    sentences = [event.sentence.text for a in articles[::step] for event in a.events]
    return TextEncoder(sentences, _NOISE, seed)


def _batches(records: list[Record]) -> Iterator[list[Record]]:
    for start in range(0, len(records), _BATCH):
        yield records[start : start + _BATCH]


def _write_index(
    path: Path, records: list[Record], shown: frozenset[str], encoder: TextEncoder
) -> None:
    """Write the vectors of some records; all are encoded, because noise is drawn row by row."""
    index = faiss.IndexFlatIP(DIMENSION)
    for batch in _batches(records):
        vectors = encoder.encode([r.thing for r in batch], [r.context for r in batch])
        index.add(vectors[[r.vector_id in shown for r in batch]])
    faiss.write_index(index, str(path))


def _metadata(records: list[Record]) -> dict[str, Any]:
    return {
        "metadata_store": {
            record.vector_id: {
                "source_id": record.source_id,
                "embedding_type": record.kind,
                "metadata": record.metadata,
            }
            for record in records
        },
        "id_map": {record.vector_id: row for row, record in enumerate(records)},
        "reverse_id_map": {str(row): record.vector_id for row, record in enumerate(records)},
    }


def _write_levels(folder: Path, documents: int, seed: int, days: int | None) -> dict[str, int]:
    articles = sorted(write_articles(documents, seed), key=lambda article: article.source_id)
    encoder = _encoder(articles, seed)
    gold, counts = {}, {}
    for level, make in _RECORDS.items():
        made = {article.source_id: [*make(article)] for article in articles}
        records = [record for each in made.values() for record in each]
        shown = [
            record
            for article in articles
            if days is None or (article.published.date() - FIRST_DAY).days < days
            for record in made[article.source_id]
        ]
        names = frozenset(record.vector_id for record in shown)
        _write_index(folder / f"{level}.index", records, names, encoder)
        (folder / f"{level}_metadata.json").write_bytes(orjson.dumps(_metadata(shown)))
        gold[level] = {record.vector_id: record.gold for record in shown}
        counts[level] = len(shown)
    if not counts["documents"]:
        raise ValueError(f"no document is of the first {days} days: ask for more")
    (folder / "gold.json").write_bytes(orjson.dumps(gold))
    return counts


def write_folder(
    folder: Path, documents: int, seed: int, days: int | None = None
) -> dict[str, int]:
    """Write the sample beside `folder` and rename it there; return the counts per level.

    A folder that has this very sample is left as it is. Raises FileExistsError if `folder` is
    anything else than that or an empty directory.
    """
    asked = {"documents": documents, "seed": seed, "days": days, "version": _version()}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return _counts_there(folder, asked)
    folder.parent.mkdir(parents=True, exist_ok=True)
    half_written = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        counts = _write_levels(half_written, documents, seed, days)
        (half_written / _MADE_BY).write_bytes(orjson.dumps({"asked": asked, "vectors": counts}))
        half_written.chmod(0o755)
        half_written.rename(folder)
    finally:
        # Gone already if all went well; else nobody shall take it for a sample.
        shutil.rmtree(half_written, ignore_errors=True)
    return counts


def _version() -> str:
    """Return a digest of what samples are made with: another one, other samples."""
    here = Path(__file__).parent
    sources = sorted([*here.glob("*.py"), *(here / "stories").glob("*.toml")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _counts_there(folder: Path, asked: dict[str, Any]) -> dict[str, int]:
    """Return the counts of the sample that `folder` has, if that is the one asked for.

    Raises:
        FileExistsError: it is another one, not whole, or none at all.
    """
    names = [name for level in _RECORDS for name in (f"{level}.index", f"{level}_metadata.json")]
    try:
        made = orjson.loads((folder / _MADE_BY).read_bytes())
        there, counts = dict(made["asked"]), dict(made["vectors"])
    except (OSError, ValueError, KeyError, TypeError):
        there, counts = {}, {}
    if there == asked and all((folder / name).is_file() for name in (*names, "gold.json")):
        return counts
    other = [f"{name} {value}" for name, value in there.items() if value != asked.get(name)]
    holds = f" It has another sample ({', '.join(other)})." if other else ""
    raise FileExistsError(
        f"{folder} exists and is not empty: name another folder or remove it.{holds}"
    )
