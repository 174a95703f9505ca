"""Step `label`: name the clusters and write the files that are published."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from upath import UPath

from clustering_tasks.arrays import I32
from clustering_tasks.contract.record import Record
from clustering_tasks.corrections.frozen import read_frozen
from clustering_tasks.identity.columns import IDS
from clustering_tasks.identity.words import CHANGES
from clustering_tasks.stage3.words import words_of
from clustering_tasks.steps.label.keywords import Keywords
from clustering_tasks.steps.label.lasting_labels import FormerLabels, LastingLabels, former_labels
from clustering_tasks.steps.label.marks import Marks, read_marks
from clustering_tasks.steps.label.members import by_cluster, read_members
from clustering_tasks.steps.label.records import Cluster, record
from clustering_tasks.steps.label.report import COUNTS, QUALITY, make_report
from clustering_tasks.steps.label.stop_words import usual_language
from clustering_tasks.steps.label.tables import write_clusters, write_members
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import to_json

_SAMPLE = 1000  # texts that show the level's usual language


def label(run: Run) -> Result:
    """Write `clusters.jsonl`, `members.parquet`, the files for COPY and `report.json`."""
    snapshot, merge, identify = (run.result(name) for name in ("snapshot", "merge", "identify"))
    # Records carry the run and its time, so the artefact belongs to this run alone.
    former = former_labels(run, identify)
    extra = [run.job_id, run.as_of, run.level.name, run.corrections, former.digest]
    key = artefact_key("label", [snapshot, merge, identify], run.settings.model_dump(), extra)
    return perform(
        run, "label", key, lambda attempt: _write(run, snapshot, merge, identify, former, attempt)
    )


def write(run: Run, snapshot: Result, merge: Result, identify: Result, attempt: Attempt) -> None:
    """Write the files of `label` into an attempt, from these results of the run."""
    _write(run, snapshot, merge, identify, former_labels(run, identify), attempt)


def _write(
    run: Run,
    snapshot: Result,
    merge: Result,
    identify: Result,
    former: FormerLabels,
    attempt: Attempt,
) -> None:
    labels = read_columns(merge.path("assignments"), ["cluster"])["cluster"]
    labels = labels.fill_null(-1).to_numpy()
    corrections = read_frozen(run.workspace, run.level.name, run.corrections)
    marks = read_marks(corrections, snapshot.path("items"), labels)
    lasting = former.read(run.as_of)
    ids, sizes = write_clusters(
        _records(run, snapshot, merge, identify, labels, marks, lasting),
        attempt.new_file("clusters_jsonl", "clusters.jsonl"),
        attempt.new_file("clusters_csv", "clusters.csv"),
    )
    lasting.write(attempt.new_file("labels", "labels.parquet"))
    write_members(
        snapshot.path("items"),
        merge.path("assignments"),
        ids,
        attempt.new_file("members_parquet", "members.parquet"),
        attempt.new_file("members_csv", "members.csv"),
    )
    report = make_report(run, snapshot, merge, sizes) | {
        "corrections": marks.report(merge),
        "lineage": _lineage(identify),
    }
    attempt.new_file("report", "report.json").write_bytes(to_json(report))
    attempt.metrics = {
        **{name: merge.metrics[name] for name in (*COUNTS, *QUALITY)},
        "coverage": report["coverage"],
        "outlier_share": report["outlier_share"],
        "raw_outlier_share": report["raw_outlier_share"],
    }


def _lineage(identify: Result) -> dict[str, int]:
    """Count ids by what became of them in the run."""
    changes = read_columns(identify.path("lineage"), ["change"])["change"].to_pylist()
    return {change: changes.count(change) for change in CHANGES}


def _records(
    run: Run,
    snapshot: Result,
    merge: Result,
    identify: Result,
    labels: I32,
    marks: Marks,
    lasting: LastingLabels,
) -> Iterator[Record]:
    with open_arrays(merge.path("centroids")) as arrays:
        centroids, intra = arrays["centroids"], arrays["intra_similarity"]
    items, assignments = snapshot.path("items"), merge.path("assignments")
    keywords = _keywords(items, labels, len(centroids))
    table = read_members(items, assignments, run.level)
    identities = pa.table(read_columns(identify.path("ids"), IDS.names)).to_pylist()
    algorithm = str(merge.metrics["algorithm"])
    parameters = getattr(run.settings, algorithm).model_dump()
    for number, members in enumerate(by_cluster(table, labels, len(centroids))):
        cluster = Cluster(
            identity=identities[number],
            members=members,
            centroid=centroids[number],
            intra_similarity=float(intra[number]),
            keywords=keywords.top(number, run.settings.label.keywords),
            weights=keywords.weights_of(number),
            algorithm=algorithm,
            parameters=parameters,
        )
        changed = cluster.identity["changed"]
        named = lasting.on(record(run, cluster), changed, members["title"])
        yield marks.on(named, number)


def _keywords(items: UPath, labels: I32, clusters: int) -> Keywords:
    texts = pa.table(read_columns(items, ["text"]))
    sample = texts["text"].take(np.arange(0, len(texts), max(1, len(texts) // _SAMPLE)))
    usual = usual_language(words_of(text) for text in sample.to_pylist() if text)
    return Keywords((part["text"] for part in by_cluster(texts, labels, clusters)), usual)
