"""Step `label`: name the clusters and write the files that are published."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from clustering_tasks.arrays import I32
from clustering_tasks.contract.record import Record
from clustering_tasks.corrections.frozen import read_frozen
from clustering_tasks.identity.columns import IDS
from clustering_tasks.identity.words import CHANGES
from clustering_tasks.language.entity_names import common_nouns
from clustering_tasks.stage3.words import words_of
from clustering_tasks.steps.label.free_labels import FreeLabels
from clustering_tasks.steps.label.keywords import Keywords
from clustering_tasks.steps.label.lasting_labels import FormerLabels, LastingLabels, former_labels
from clustering_tasks.steps.label.marks import Marks, read_marks
from clustering_tasks.steps.label.members import Columns, by_cluster, read_members
from clustering_tasks.steps.label.naming import Namer, Proposal, Words
from clustering_tasks.steps.label.records import Cluster, most_central, record
from clustering_tasks.steps.label.report import COUNTS, QUALITY, make_report
from clustering_tasks.steps.label.stop_words import usual_language
from clustering_tasks.steps.label.tables import write_clusters, write_members
from clustering_tasks.steps.label.tags import Tags
from clustering_tasks.steps.label.titles import name_of_id
from clustering_tasks.steps.label.trends import Trends
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import to_json

_TERMS = 12  # from which key phrases are chosen
_IN_LABEL = 5  # keywords, where there is nothing else
_SAMPLE = 1000  # texts that show the level's usual language


def label(run: Run) -> Result:
    """Write `clusters.jsonl`, `members.parquet`, the files for COPY and `report.json`."""
    names = ("snapshot", "merge", "identify", "tag", "trend")
    snapshot, merge, identify, tag, trend = (run.result(name) for name in names)
    # Records carry the run and its time, so the artefact belongs to this run alone.
    former = former_labels(run, identify)
    extra = [run.job_id, run.as_of, run.level.name, run.corrections, former.digest]
    key = artefact_key(
        "label", [snapshot, merge, identify, tag, trend], run.settings.model_dump(), extra
    )
    return perform(
        run,
        "label",
        key,
        lambda attempt: _write(run, snapshot, merge, identify, tag, trend, former, attempt),
    )


def write(
    run: Run,
    snapshot: Result,
    merge: Result,
    identify: Result,
    tag: Result,
    trend: Result,
    attempt: Attempt,
) -> None:
    """Write the files of `label` into an attempt, from these results of the run."""
    _write(run, snapshot, merge, identify, tag, trend, former_labels(run, identify), attempt)


def _write(
    run: Run,
    snapshot: Result,
    merge: Result,
    identify: Result,
    tag: Result,
    trend: Result,
    former: FormerLabels,
    attempt: Attempt,
) -> None:
    labels = read_columns(merge.path("assignments"), ["cluster"])["cluster"]
    labels = labels.fill_null(-1).to_numpy()
    corrections = read_frozen(run.workspace, run.level.name, run.corrections)
    marks = read_marks(corrections, snapshot.path("items"), labels)
    tags = Tags(tag, labels, int(merge.metrics["clusters"] or 0))
    trends, lasting = Trends(trend), former.read(run.as_of)
    sizes = np.bincount(labels[labels >= 0])
    identities = pa.table(read_columns(identify.path("ids"), IDS.names)).to_pylist()
    with ThreadPoolExecutor(1) as beside:  # the interpreter has little part in it
        writing = beside.submit(
            write_members,
            snapshot.path("items"),
            merge.path("assignments"),
            [each["cluster_id"] for each in identities],
            tags.texts,
            attempt.new_file("members_parquet", "members.parquet"),
            attempt.new_file("members_csv", "members.csv"),
        )
        write_clusters(
            _records(run, snapshot, merge, identities, labels, marks, tags, trends, lasting),
            sizes,
            attempt.new_file("clusters_jsonl", "clusters.jsonl"),
            attempt.new_file("clusters_csv", "clusters.csv"),
        )
        writing.result()
    lasting.write(attempt.new_file("labels", "labels.parquet"))
    report = make_report(run, snapshot, merge, tag, sizes) | {
        "trends": dict(trend.metrics),
        "corrections": marks.report(merge),
        "lineage": _lineage(identify),
    }
    attempt.new_file("report", "report.json").write_bytes(to_json(report))
    attempt.metrics = {
        **{name: merge.metrics[name] for name in (*COUNTS, *QUALITY)},
        "coverage": report["coverage"],
        "outlier_share": report["outlier_share"],
        "raw_outlier_share": report["raw_outlier_share"],
        **{f"tags.{name}": value for name, value in report["tags"].items()},
    }


def _lineage(identify: Result) -> dict[str, int]:
    """Count ids by what became of them in the run."""
    changes = read_columns(identify.path("lineage"), ["change"])["change"].to_pylist()
    return {change: changes.count(change) for change in CHANGES}


def _records(
    run: Run,
    snapshot: Result,
    merge: Result,
    identities: list[dict[str, Any]],
    labels: I32,
    marks: Marks,
    tags: Tags,
    trends: Trends,
    lasting: LastingLabels,
) -> Iterator[Record]:
    with open_arrays(merge.path("centroids")) as arrays:
        centroids, intra = arrays["centroids"], arrays["intra_similarity"]
    table = read_members(snapshot.path("items"), merge.path("assignments"), run.level)
    texts = read_columns(snapshot.path("items"), ["text"])["text"]
    algorithm = str(merge.metrics["algorithm"])
    parameters = getattr(run.settings, algorithm).model_dump()
    described = describe(table, texts, labels, run.level.name, run.settings.label.keywords)
    # what people call a cluster comes first, then what it was called before
    free = FreeLabels.without([marks.names(), lasting.may_stay(identities)])
    for number, (members, keywords, proposal) in enumerate(described):
        identity = identities[number]
        name = identity["cluster_id"]
        otherwise = ", ".join(keywords[:_IN_LABEL]) or name_of_id(_most_central_id(members), name)
        best = free.best(name, proposal.ranked or [otherwise], proposal.tellers, members)
        chosen = lasting.on(identity, best, proposal, members, free)
        free.take(name, chosen.text)
        cluster = Cluster(
            identity=identity,
            members=members,
            centroid=centroids[number],
            intra_similarity=float(intra[number]),
            keywords=keywords,
            proposal=proposal,
            label=chosen,
            algorithm=algorithm,
            parameters=parameters,
        )
        tagged = tags.on(record(run, cluster), number, members["source_id"])
        yield marks.on(trends.on(tagged, number), number)


def _most_central_id(members: Columns) -> str:
    name: str = members["source_id"][most_central(members)[0]]
    return name


def describe(
    table: pa.Table, texts: pa.ChunkedArray, labels: I32, level: str, keywords: int
) -> Iterator[tuple[Columns, list[str], Proposal]]:
    """Yield the members of each cluster, its keywords and what it may be called.

    Args:
        table: n items, from `read_members`.
        texts: (n,) from which keywords are drawn.
        labels: (n,) the cluster of each, negative for none; every cluster has a member.
        level: its name.
        keywords: most of them for a cluster.
    """
    clusters = int(labels.max(initial=-1)) + 1
    found = _keywords(texts, labels, clusters)
    namer = Namer(level, _common(table["title"]) if level == "entities" else frozenset())
    rewards = found.rewards(np.bincount(labels[labels >= 0], minlength=clusters))
    for number, members in enumerate(by_cluster(table, labels, clusters)):
        terms = found.top(number, max(keywords, _TERMS))
        rows = {word: row for row, word in enumerate(found.words_of(number))}
        words = Words(rows, next(rewards), terms)
        yield members, terms[:keywords], namer.propose(members, most_central(members), words)


def _common(mentions: pa.ChunkedArray) -> frozenset[str]:
    counts = mentions.drop_null().value_counts()
    return common_nouns(dict(zip(*(part.to_pylist() for part in counts.flatten()), strict=True)))


def _keywords(texts: pa.ChunkedArray, labels: I32, clusters: int) -> Keywords:
    sample = texts.take(np.arange(0, len(texts), max(1, len(texts) // _SAMPLE)))
    usual = usual_language(words_of(text) for text in sample.to_pylist() if text)
    table = pa.table({"text": texts})
    return Keywords((part["text"] for part in by_cluster(table, labels, clusters)), usual)
