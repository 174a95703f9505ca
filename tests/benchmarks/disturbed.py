"""Collections whose metadata contradict their vectors, in known ways and shares."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32
from tests.benchmarks.collection import Collection, Items

Names = npt.NDArray[np.str_]
BATCH = 100  # items
_UNLIKE = 0.05  # length of what a reprint's vector differs by
_TEXT = {"events": "trigger", "entities": "entity_text"}
_DATE = {"events": "temporal_reference"}


def digests(collection: Collection, level: str, share: float) -> Collection:
    """Deal the items of a share of the documents out among these documents at random.

    Their vectors become the mean of the documents that their items are from.
    """
    documents, rng = _documents(collection, level), np.random.default_rng(0)
    names = np.unique(documents)
    chosen = rng.permutation(names)[: round(share * len(names))]
    rows = np.flatnonzero(np.isin(documents, chosen))
    dealt = documents.copy()
    dealt[rows] = documents[rng.permutation(rows)]
    context = collection.levels["documents"]
    row_of = {name: row for row, name in enumerate(context.documents)}
    vectors = context.vectors.copy()
    for name in chosen.tolist():
        told = [row_of[source] for source in documents[dealt == name].tolist() if source in row_of]
        if name in row_of and told:
            vectors[row_of[name]] = _unit(context.vectors[told].mean(axis=0))
    levels = {**collection.levels, "documents": replace(context, vectors=vectors)}
    return _with_documents(Collection(collection.name, levels), level, dealt)


def batches(collection: Collection, level: str, share: float) -> Collection:
    """Name the batch of a feed as the document of the items of a share of the documents."""
    documents, rng = _documents(collection, level), np.random.default_rng(0)
    names = np.unique(documents)
    chosen = rng.permutation(names)[: round(share * len(names))]
    rows = rng.permutation(np.flatnonzero(np.isin(documents, chosen)))
    named = documents.astype(object)
    for start in range(0, len(rows), BATCH):
        named[rows[start : start + BATCH]] = f"batch_{start // BATCH}"
    return _with_documents(collection, level, named.astype(np.str_))


def shuffled(collection: Collection, level: str, share: float) -> Collection:
    """Deal the document ids of a share of the items out among them at random."""
    documents, rng = _documents(collection, level), np.random.default_rng(0)
    rows = np.flatnonzero(rng.random(len(documents)) < share)
    dealt = documents.copy()
    dealt[rows] = documents[rng.permutation(rows)]
    return _with_documents(collection, level, dealt)


def one_document(collection: Collection, level: str, _share: float) -> Collection:
    """Name one document for all items."""
    count = len(collection.levels[level].names)
    return _with_documents(collection, level, np.full(count, "batch"))


def own_documents(collection: Collection, level: str, _share: float) -> Collection:
    """Name a document of its own for each item."""
    count = len(collection.levels[level].names)
    return _with_documents(collection, level, np.array([f"alone_{row}" for row in range(count)]))


def without_documents(collection: Collection, level: str, _share: float) -> Collection:
    """Leave the level `documents` out."""
    return Collection(collection.name, {level: collection.levels[level]})


def equal_documents(collection: Collection, _level: str, _share: float) -> Collection:
    """Give all documents one vector."""
    context = collection.levels["documents"]
    vectors = np.repeat(context.vectors[:1], len(context.vectors), axis=0)
    levels = {**collection.levels, "documents": replace(context, vectors=vectors)}
    return Collection(collection.name, levels)


def one_mention(collection: Collection, level: str, _share: float) -> Collection:
    """Name all items `said`."""
    return _with_values(collection, level, _TEXT[level], ["said"])


def shuffled_mentions(collection: Collection, level: str, share: float) -> Collection:
    """Deal the mentions of a share of the items out among them at random."""
    return _dealt_out(collection, level, _TEXT[level], share)


def one_event_type(collection: Collection, level: str, _share: float) -> Collection:
    """Give all events one type."""
    return _with_values(collection, level, "event_type", ["contact_meet"])


def shuffled_event_types(collection: Collection, level: str, share: float) -> Collection:
    """Deal the types of a share of the events out among them at random."""
    return _dealt_out(collection, level, "event_type", share)


def one_date(collection: Collection, level: str, _share: float) -> Collection:
    """Date all events by a template."""
    return _with_values(collection, level, _DATE[level], ["2026-01-01"])


def random_dates(collection: Collection, level: str, _share: float) -> Collection:
    """Date events at random, within 200 days."""
    days = np.datetime64("2026-01-01") + np.random.default_rng(0).integers(0, 200, 1 << 16)
    return _with_values(collection, level, _DATE[level], days.astype(str).tolist())


def reprinted(collection: Collection, level: str) -> Collection:
    """Reprint one item of each story of three or more, as often as the story has items.

    A reprint has the metadata of its item, an id of its own and all but the same vector.
    """
    items, rng = collection.levels[level], np.random.default_rng(0)
    stories, story, sizes = np.unique(items.gold, return_inverse=True, return_counts=True)
    rows = np.concatenate(
        [
            np.repeat(rng.choice(np.flatnonzero(story == number)), sizes[number])
            for number in range(len(stories))
            if sizes[number] > 2
        ]
    )
    source = items.take(rows)
    noise = rng.normal(scale=_UNLIKE / np.sqrt(source.vectors.shape[1]), size=source.vectors.shape)
    vectors = [_unit(vector) for vector in source.vectors + noise.astype(np.float32)]
    names = [f"{name}_reprint_{number}" for number, name in enumerate(source.names)]
    entries = [
        {**entry, "source_id": f"{entry['source_id']}_reprint_{number}"}
        for number, entry in enumerate(source.entries)
    ]
    both = Items(
        items.names + names,
        np.concatenate([items.vectors, np.array(vectors, dtype=np.float32)]),
        items.entries + entries,
        items.gold + source.gold,
    )
    return Collection(collection.name, {**collection.levels, level: both})


Disturbance = Callable[[Collection, str, float], Collection]
GRADED: Mapping[str, Disturbance] = {
    "digests": digests,
    "batches of 100": batches,
    "document ids shuffled": shuffled,
}
WHOLE: Mapping[str, Disturbance] = {
    "one document for all": one_document,
    "a document for each item": own_documents,
    "no level `documents`": without_documents,
    "documents with one vector": equal_documents,
}


def _documents(collection: Collection, level: str) -> Names:
    return np.array(collection.levels[level].documents)


def _with_documents(collection: Collection, level: str, documents: Names) -> Collection:
    return _with_values(collection, level, "document_id", documents.tolist())


def _dealt_out(collection: Collection, level: str, field: str, share: float) -> Collection:
    rng = np.random.default_rng(0)
    values = [entry["metadata"].get(field) for entry in collection.levels[level].entries]
    rows = np.flatnonzero(rng.random(len(values)) < share)
    dealt = list(values)
    for row, source in zip(rows.tolist(), rng.permutation(rows).tolist(), strict=True):
        dealt[row] = values[source]
    return _with_values(collection, level, field, dealt)


def _with_values(
    collection: Collection, level: str, field: str, values: list[str | None]
) -> Collection:
    """Set a field of the metadata, the values in turn."""
    items = collection.levels[level]
    entries = [
        {**entry, "metadata": {**entry["metadata"], field: values[row % len(values)]}}
        for row, entry in enumerate(items.entries)
    ]
    changed = Items(items.names, items.vectors, entries, items.gold)
    return Collection(collection.name, {**collection.levels, level: changed})


def _unit(vector: F32) -> F32:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float32)
