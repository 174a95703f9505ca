"""Step `label`: name the clusters and write the files that are published."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from upath import UPath

from clustering_tasks.arrays import F32, I32
from clustering_tasks.corrections.frozen import read_frozen
from clustering_tasks.engine.garbage import seldom_collected
from clustering_tasks.engine.processes import work_processes
from clustering_tasks.engine.threads import thread_count
from clustering_tasks.identity.columns import IDS
from clustering_tasks.identity.words import CHANGES
from clustering_tasks.llm.answers import Asked, discard_asked, read_asked
from clustering_tasks.llm.questions import FILE as QUESTIONS
from clustering_tasks.steps.label.asking import Asking
from clustering_tasks.steps.label.copies import ASSIGNED, ITEMS, near_duplicates_of
from clustering_tasks.steps.label.free_labels import FreeLabels
from clustering_tasks.steps.label.lasting_labels import FormerLabels, LastingLabels, former_labels
from clustering_tasks.steps.label.llm_labels import LlmLabels, counted, read_llm_labels
from clustering_tasks.steps.label.marks import Marks, read_marks
from clustering_tasks.steps.label.members import Columns, groups, most_central, read_members
from clustering_tasks.steps.label.proposals import Described, count_words, describe, group_starts
from clustering_tasks.steps.label.record_groups import RecordTask, make_clusters
from clustering_tasks.steps.label.records import Common, Named
from clustering_tasks.steps.label.report import COUNTS, QUALITY, make_report
from clustering_tasks.steps.label.tables import write_clusters, write_members
from clustering_tasks.steps.label.tags import Tags
from clustering_tasks.steps.label.titles import name_of_id
from clustering_tasks.steps.label.trends import Trends
from clustering_tasks.workspace.array_files import array_parts, open_arrays, read_arrays
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import to_json

_IN_LABEL = 5  # keywords, where there is nothing else
_ENOUGH = 30_000  # items, below which a process takes longer to start than it saves


def label(run: Run, answers: str | None = None) -> Result:
    """Write `clusters.jsonl`, `members.parquet`, the files for COPY and `report.json`.

    With `llm.labels` the step is performed twice: first it writes `questions.jsonl`, too, then it
    reads what a language model has answered.

    Args:
        run: the run.
        answers: `Asked.digest` of the answers; None: nothing was asked yet.

    Raises:
        BadInputError: the run has other answers by now.
    """
    asked = None
    if answers is None:
        discard_asked(run.folder)
    else:
        asked = read_asked(run.folder, answers)
    names = ("snapshot", "merge", "identify", "tag", "trend")
    snapshot, merge, identify, tag, trend = (run.result(name) for name in names)
    # Records carry the run and its time, so the artefact belongs to this run alone.
    former = former_labels(run, identify)
    extra = [run.job_id, run.as_of, run.level.name, run.corrections, former.digest, answers]
    key = artefact_key(
        "label", [snapshot, merge, identify, tag, trend], run.settings.model_dump(), extra
    )
    asking = _asking(run) if answers is None else None
    inputs = (snapshot, merge, identify, tag, trend)
    return perform(
        run,
        "label",
        key,
        lambda attempt: _write(run, *inputs, former, asked, asking, attempt),
    )


def _asking(run: Run) -> Asking | None:
    """Return what collects a model's questions; None where none is asked."""
    wanted = run.settings.llm.labels and run.level.name != "entities"
    return Asking(run.level.name, run.settings.llm.max_requests) if wanted else None


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
    former, asked = former_labels(run, identify), read_asked(run.folder)
    _write(run, snapshot, merge, identify, tag, trend, former, asked, None, attempt)


@seldom_collected()
def _write(
    run: Run,
    snapshot: Result,
    merge: Result,
    identify: Result,
    tag: Result,
    trend: Result,
    former: FormerLabels,
    asked: Asked | None,
    asking: Asking | None,
    attempt: Attempt,
) -> None:
    labels = read_columns(merge.path("assignments"), ["cluster"])["cluster"]
    labels = labels.fill_null(-1).to_numpy()
    corrections = read_frozen(run.workspace, run.level.name, run.corrections)
    marks = read_marks(corrections, snapshot.path("items"), labels)
    tags = Tags(tag, labels, int(merge.metrics["clusters"] or 0))
    trends, lasting = Trends(trend), former.read(run.as_of)
    llm = read_llm_labels(run.workspace, run.level.name, asked)
    sizes = np.bincount(labels[labels >= 0])
    identities = pa.table(read_columns(identify.path("ids"), IDS.names)).to_pylist()
    items, assignments = snapshot.path("items"), merge.path("assignments")
    copies = near_duplicates_of(
        read_columns(items, ITEMS) | read_columns(assignments, ASSIGNED), labels
    )
    workers = thread_count() if len(labels) >= _ENOUGH else 1
    with (
        work_processes(workers) as each,
        ThreadPoolExecutor(1) as beside,  # the interpreter has little part in it
    ):
        writing = beside.submit(
            write_members,
            items,
            assignments,
            [each["cluster_id"] for each in identities],
            copies,
            tags.texts,
            attempt.new_file("members_parquet", "members.parquet"),
            attempt.new_file("members_csv", "members.csv"),
        )
        words = count_words(_said(items, copies), labels, each)
        table = read_members(items, assignments, run.level)
        table = table.append_column("near_duplicate_of", copies)
        most, answers = run.settings.label.keywords, llm.in_order(identities)
        described = describe(words, table, labels, run.level.name, most, each, answers)
        del words  # so that they are gone as soon as they are read
        intra = read_arrays(merge.path("centroids"), ["intra_similarity"])["intra_similarity"]
        named = _named(run, described, identities, intra, marks, lasting, llm, asking)
        tasks = _tasks(table, labels, named, merge.path("centroids"), tags, trends)
        write_clusters(
            each(partial(make_clusters, _common(run, merge)), tasks),
            attempt.new_file("clusters_jsonl", "clusters.jsonl"),
            attempt.new_file("clusters_csv", "clusters.csv"),
        )
        writing.result()
    lasting.write(attempt.new_file("labels", "labels.parquet"))
    if asking is not None:
        with open_arrays(merge.path("centroids")) as arrays:
            asking.write(arrays["centroids"], attempt.new_file(QUESTIONS, "questions.jsonl"))
    report = make_report(run, snapshot, merge, tag, sizes, llm.report()) | {
        "trends": dict(trend.metrics),
        "corrections": marks.report(merge),
        "lineage": _lineage(identify),
        "goes_on_from": {name: identify.metrics.get(name) for name in ("base", "base_digest")},
    }
    attempt.new_file("report", "report.json").write_bytes(to_json(report))
    attempt.metrics = {
        **{name: merge.metrics[name] for name in (*COUNTS, *QUALITY)},
        "coverage": report["coverage"],
        "outlier_share": report["outlier_share"],
        "raw_outlier_share": report["raw_outlier_share"],
        **{f"tags.{name}": value for name, value in report["tags"].items()},
        **{f"llm.{name}": value for name, value in counted(report.get("llm", {})).items()},
        **({"llm.new_labels": asking.new} if asking else {}),
    }


def _lineage(identify: Result) -> dict[str, int]:
    """Count ids by what became of them in the run."""
    changes = read_columns(identify.path("lineage"), ["change"])["change"].to_pylist()
    return {change: changes.count(change) for change in CHANGES}


def _common(run: Run, merge: Result) -> Common:
    algorithm = str(merge.metrics["algorithm"])
    return Common(
        level=run.level.name,
        counts=run.settings.label,
        algorithm=algorithm,
        parameters=getattr(run.settings, algorithm).model_dump(),
        scope=run.settings.scope,
        as_of=run.as_of,
        job_id=run.job_id,
    )


def _named(
    run: Run,
    described: Iterable[Described],
    identities: list[dict[str, Any]],
    intra_similarity: F32,
    marks: Marks,
    lasting: LastingLabels,
    llm: LlmLabels,
    asking: Asking | None,
) -> Iterator[Named]:
    """Call each cluster what no other one is called."""
    # what people call a cluster comes first, then what it was called before
    free = FreeLabels.without([marks.names(), lasting.may_stay(identities)])
    for number, (members, keywords, proposal, scores, rows) in enumerate(described):
        identity = identities[number]
        name = identity["cluster_id"]
        ranked = proposal.ranked or [
            ", ".join(keywords[:_IN_LABEL]) or name_of_id(_most_central_id(members), name)
        ]
        best = free.best(name, llm.before(name, ranked, scores), proposal.tellers, members)
        source = llm.source(name, best, ranked)
        chosen = lasting.on(identity, best, proposal, members, free, source)
        free.take(name, chosen.text)
        llm.note(name, ranked, chosen.source, scores)
        if asking is not None:
            asking.add(number, name, members, new=chosen.made == run.as_of)
        shown, corrections = marks.on(chosen.text, name, number)
        similarity = float(intra_similarity[number])
        yield Named(identity, similarity, keywords, proposal, chosen, shown, corrections, rows)


def _tasks(
    table: pa.Table,
    labels: I32,
    named: Iterator[Named],
    centroids: UPath,
    tags: Tags,
    trends: Trends,
) -> Iterator[RecordTask]:
    starts = group_starts(labels)
    parts = zip(
        groups(table, labels, starts),
        array_parts(centroids, "centroids", np.diff(starts).tolist()),
        pairwise(starts),
        strict=True,
    )
    for group, vectors, (first, last) in parts:
        yield RecordTask(
            group,
            [*islice(named, last - first)],
            vectors,
            tags.some(first, last),
            trends.some(first, last),
        )


def _said(items: UPath, copies: pa.Array) -> pa.Table:
    return pa.table(read_columns(items, ["source_id", "text"]) | {"near_duplicate_of": copies})


def _most_central_id(members: Columns) -> str:
    name: str = members["source_id"][most_central(members)[0]]
    return name
