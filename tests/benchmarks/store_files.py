"""Files of `label` for any number of members, as a real run leaves them; the same seed, the same.

Stories are those of `tests.benchmarks.independent`: Zipf's sizes, centroids as far apart as those
of real news, a fifth of the items in none. Later runs of the history cluster the same items: 1 % of
the clusters are split, 1 % merged, and 1 % of the items come or go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import F32, I64
from clustering_tasks.contract.record import EventRecord
from clustering_tasks.identity.former_ids import former_id
from clustering_tasks.settings.levels import DOMAINS, LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.label.report import describe_sizes
from clustering_tasks.steps.label.tables import (
    Clusters,
    clusters_of,
    write_clusters,
    write_members,
)
from clustering_tasks.workspace.storage import to_json
from tests.benchmarks.independent import (
    EVENT_TYPES,
    ITEMS_PER_STORY,
    centre,
    metadata_of,
    source_id,
    stories,
)
from tests.benchmarks.invented_words import Writer, vocabulary
from tests.benchmarks.spectrum import DIMENSION, Spectrum, level_spectrum

LEVEL = "events"
_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_CHANGED = 0.01  # share of clusters that split, of clusters that merge, of items that come or go
_ROWS = 16_384
_AT_ONCE = 256  # clusters
_ITEM_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("vector_id", "source_id", "document_id")),
        ("start_time", pa.timestamp("us", tz="UTC")),
        ("metadata", pa.string()),
    ]
)


def write_run(folder: Path, members: int, day: int, seed: int = 0) -> dict[str, Any]:
    """Write the files of a day's run, unless they are there, and return `label`'s result.

    Args:
        folder: of all runs; their items are written once.
        members: items of the snapshot; a fiftieth of it is the number of clusters.
        day: of the history, from 0.
        seed: of everything.
    """
    own = folder / f"day-{day}"
    names = ("clusters_jsonl", "clusters_csv", "members_csv", "members_parquet", "report")
    paths = {name: own / name.replace("_", ".") for name in names}
    paths["report"] = own / "report.json"
    if not paths["report"].exists():
        own.mkdir(parents=True, exist_ok=True)
        items = _write_items(folder, members, seed)
        story = _story(members, day, seed)
        _write_label(own, paths, items, story, day, seed)
    return {
        "step": "label",
        "uri": str(own),
        "files": {name: str(path) for name, path in paths.items()},
    }


def _write_items(folder: Path, members: int, seed: int) -> Path:
    """Write the snapshot's items, in the order of their ids as `snapshot` does."""
    path = folder / "items.parquet"
    if path.exists():
        return path
    sources = sorted(source_id(LEVEL, row, seed) for row in range(members))
    metadata = metadata_of(LEVEL, sources, _story(members, 0, seed).astype(np.int32), seed)
    pairs = zip(sources, metadata, strict=True)
    with pq.ParquetWriter(path.with_suffix(".part"), _ITEM_SCHEMA) as file:
        while some := [_item(*pair) for pair in islice(pairs, _ROWS)]:
            file.write_table(pa.Table.from_pylist(some, schema=_ITEM_SCHEMA))
    path.with_suffix(".part").rename(path)
    return path


def _item(source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    for longer_than_real in ("sentence", "arguments"):
        del metadata[longer_than_real]
    time = metadata["temporal_reference"]
    return {
        "vector_id": LEVELS[LEVEL].vector_prefix + source,
        "source_id": source,
        "document_id": metadata["document_id"],
        "start_time": datetime.fromisoformat(time) if time else None,
        "metadata": to_json(metadata).decode(),
    }


def _story(members: int, day: int, seed: int) -> I64:
    """The story of each item on a day: (members,), -1 for none; every story has two items."""
    story: I64 = stories(members, np.random.default_rng([seed, members])).astype(np.int64)
    count = int(story.max(initial=-1)) + 1
    for number in range(1, day + 1):
        rng = np.random.default_rng([seed, 5, number])
        changed = rng.permutation(count)[: max(int(3 * _CHANGED * count), 3)]
        split, kept, merged = np.array_split(changed, 3)
        halves = np.isin(story, split) & (rng.random(members) < 0.5)
        story[halves] += number * count  # a name of its own
        for one, other in zip(kept.tolist(), merged.tolist(), strict=False):
            story[story == other] = one
        come_or_go = rng.random(members) < _CHANGED
        elsewhere = rng.permutation(story[come_or_go])
        story[come_or_go] = np.where(story[come_or_go] < 0, elsewhere, -1)
    numbers, at, sizes = np.unique(story, return_inverse=True, return_counts=True)
    return np.where((sizes >= 2)[at] & (numbers >= 0)[at], story, -1)


@dataclass(frozen=True)
class _Clusters:
    """The items by cluster.

    Attributes:
        numbers: (c,) stories.
        rows: (m,) clustered items, cluster by cluster.
        bounds: (c + 1,) where each cluster begins in `rows`.
    """

    numbers: I64
    rows: I64
    bounds: I64


def _write_label(
    own: Path, paths: dict[str, Path], items: Path, story: I64, day: int, seed: int
) -> None:
    numbers, cluster = np.unique(story, return_inverse=True)
    cluster = np.where(story < 0, -1, cluster - (numbers[:1] < 0).sum())
    order = np.argsort(cluster, kind="stable")
    order = order[np.searchsorted(cluster[order], 0) :]
    sizes = np.bincount(cluster[order])
    clusters = _Clusters(numbers[numbers >= 0], order, np.append(0, np.cumsum(sizes)))
    rng = np.random.default_rng([seed, 6, day])
    assignments = own / "assignments.parquet"
    _write_assignments(assignments, cluster, rng)
    ids = list[str]()
    write_clusters(
        _some_at_a_time(_records(items, clusters, day, seed), sizes.tolist(), ids),
        UPath(paths["clusters_jsonl"]),
        UPath(paths["clusters_csv"]),
    )
    write_members(
        UPath(items),
        UPath(assignments),
        ids,
        pa.nulls(len(story), pa.string()),
        lambda start, stop: pa.array(["[]"] * (stop - start), pa.string()),
        UPath(paths["members_parquet"]),
        UPath(paths["members_csv"]),
    )
    paths["report"].write_bytes(to_json(_report(len(story), sizes, day)))


def _some_at_a_time(
    records: Iterator[EventRecord], sizes: list[int], ids: list[str]
) -> Iterator[Clusters]:
    """Yield the files' parts; the ids of the clusters are entered."""
    while some := [*islice(records, _AT_ONCE)]:
        start = len(ids)
        ids += [record["cluster_id"] for record in some]
        yield clusters_of(some, sizes[start : len(ids)])


def _write_assignments(path: Path, cluster: I64, rng: np.random.Generator) -> None:
    noise = cluster < 0
    strength = rng.beta(5, 2, size=(2, len(cluster))).astype(np.float32)
    columns = {
        "cluster": pa.array(cluster, mask=noise),
        "status": pa.array(np.where(noise, "noise", "clustered")),
        "assignment": pa.array(np.full(len(noise), "core"), mask=noise),
        "probability": pa.array(strength[0], mask=noise),
        "similarity": pa.array(strength[1], mask=noise),
    }
    pq.write_table(pa.table(columns), path)


def _records(items: Path, clusters: _Clusters, day: int, seed: int) -> Iterator[EventRecord]:
    """The JSONL's records, with the fields and about the bytes of a real run's."""
    table = pq.read_table(items, columns=["vector_id", "source_id", "document_id", "start_time"])
    vectors, sources, documents = (
        np.asarray(table[name].to_pylist(), dtype=object) for name in table.column_names[:3]
    )
    times = table["start_time"].to_numpy()
    words, spectrum = vocabulary(np.random.default_rng([seed, 3])), level_spectrum(LEVEL)
    as_of, parameters = _FIRST_DAY + timedelta(days=day), run_settings({}).two_stage.model_dump()
    stories_of_first_day = int(len(vectors) // ITEMS_PER_STORY)
    for place, number in enumerate(clusters.numbers.tolist()):
        rows = clusters.rows[clusters.bounds[place] : clusters.bounds[place + 1]]
        rng = np.random.default_rng([seed, 7, number])
        writer = Writer(number % stories_of_first_day, words, rng)
        ids = sources[rows].tolist()
        yield {
            "cluster_id": former_id(LEVELS[LEVEL].cluster_type, vectors[rows]),
            "previous_ids": [],
            "labelled_at": as_of,
            "label_source": "local",
            "lineage": "born",
            "cluster_type": "event",
            "cluster_label": writer.text(10),
            "cluster_size": len(ids),
            "member_ids": ids,
            "member_probabilities": [0.5] * len(ids),
            "member_similarities": [0.5] * len(ids),
            "document_ids": sorted(set(documents[rows])),
            "centroid_vector": _centroid(number, stories_of_first_day, spectrum, seed),
            "temporal_span": _span(times[rows]),
            "primary_entities": [writer.name() for _ in range(10)],
            "domain": writer.among(list(DOMAINS.values())),
            "event_type": writer.among(EVENT_TYPES.split()),
            "intra_cluster_similarity": float(rng.beta(5, 2)),
            "keywords": list(dict.fromkeys(writer.own() for _ in range(10))),
            "key_phrases": [writer.own() for _ in range(3)],
            "representatives": [
                {"id": name, "title": writer.text(8), "similarity": 0.9} for name in ids[:3]
            ],
            "near_duplicates": [],
            "near_duplicate_of": [None] * len(ids),
            "tags": [],
            "member_tags": [],
            "trend": None,
            "corrections": [],
            "event_ids": ids,
            "metadata": {
                "algorithm": "two_stage",
                "parameters": parameters,
                "min_cluster_size": 5,
                "scope": "level",
                "mean_probability": 0.7,
                "timestamp": as_of,
                "run_id": f"cluster_{LEVEL}.scheduled__{day}",
            },
        }


def _centroid(number: int, count: int, spectrum: Spectrum, seed: int) -> F32:
    """The story's centre; what was split off lies beside it."""
    found = centre(number % count, spectrum, seed)
    if number >= count:
        aside = np.random.default_rng([seed, 8, number]).standard_normal(DIMENSION)
        found = found + np.asarray(0.4 * aside / np.linalg.norm(aside), dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


def _span(times: npt.NDArray[np.datetime64]) -> list[datetime] | None:
    known = times[~np.isnat(times)].astype("datetime64[us]")
    if not len(known):
        return None
    return [time.item().replace(tzinfo=UTC) for time in (known.min(), known.max())]


def _report(members: int, sizes: I64, day: int) -> dict[str, Any]:
    clustered = int(sizes.sum())
    return {
        "job_id": f"cluster_{LEVEL}.scheduled__{day}",
        "level": LEVEL,
        "as_of": _FIRST_DAY + timedelta(days=day),
        "algorithm": "two_stage",
        "settings": run_settings({}).model_dump(mode="json"),
        "counts": {
            "read": members,
            "clustered": clustered,
            "noise": members - clustered,
            "filtered": 0,
            "unassigned": 0,
            "clusters": len(sizes),
        },
        "coverage": clustered / members,
        "outlier_share": 1 - clustered / members,
        "largest_cluster_share": int(sizes.max()) / clustered,
        "quality": {"silhouette": 0.2 + 0.01 * day, "davies_bouldin": 1.5},
        "sizes": describe_sizes(sizes),
        "input": {"undated": members // 10},
        "seconds": {"snapshot": 60.0, "merge": 90.0},
    }
