"""The files of `label`: what is loaded into Postgres and read by people."""

import csv
import gc
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.stage3.text import clean
from clustering_tasks.steps.label import label as label_step
from clustering_tasks.steps.label import proposals
from clustering_tasks.steps.label.report import make_report
from clustering_tasks.steps.label.tables import CLUSTER_SCHEMA
from clustering_tasks.workspace.artefacts import Result
from tests.conftest import Workbench
from tests.stage3_folder import blobs, plain_metadata

HDBSCAN = {"min_cluster_size": 3, "min_samples": 2}
HOSTILE = [
    'Say "hello", she said',
    "Two\nlines\r\nand\ttabs",
    "<script>alert(1)</script> & <b>bold</b>",
    "\u202eright to left\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "Robert'); DROP TABLE stage4.clusters;--",
    "x" * 10_000,
    "\u2028\u2029\u0085 separators \x01\x1f controls \x7f",
    "\U0001f30d emoji, \u65e5\u672c\u8a9e, \\N \\. backslashes \\",
    "NUL \0 inside",
    "=cmd|' /C calc'!A0",
    "a,b;c|d",
    "NULL",
]


TEXTS = {
    "documents": ["title"],
    "events": ["event_description", "sentence"],
    "entities": ["entity_text", "context"],
    "storylines": ["storyline_summary"],
}


def label(workbench: Workbench, job: str = "job", **settings: Any) -> Result:
    workbench.perform("events", job, hdbscan=HDBSCAN, **settings)
    return workbench.start("events", job, hdbscan=HDBSCAN, **settings).result("label")


@pytest.fixture
def result(workbench: Workbench) -> Result:
    """Two clusters and some noise; titles, and one item's dates and document, are difficult."""
    metadata = [
        plain_metadata("events", n)
        | {
            "event_description": HOSTILE[n % len(HOSTILE)],
            "primary_entities": [HOSTILE[-1 - n % 9]],
        }
        for n in range(30)
    ]
    metadata[0] = {"event_description": HOSTILE[0]}
    workbench.stage3.write("events", blobs([12, 12], noise=6, spread=0.05), metadata)
    return label(workbench)


def lines(result: Result) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in result.path("clusters_jsonl").read_bytes().split(b"\n")[:-1]
    ]


def table(result: Result, name: str) -> list[dict[str, str]]:
    with Path(result.files[name]).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def test_hostile_titles_survive_and_labels_are_one_short_line(result: Result) -> None:
    expected = {clean(text.replace("\0", "\ufffd")) for text in HOSTILE}
    found = lines(result)
    assert len(found) == 2
    for record in found:
        label = record["cluster_label"]
        assert len(label) <= 100
        assert label == " ".join(label.split())
        start = label.removesuffix("…")
        assert any(text.startswith(start) for text in expected)
    titles = {r["title"] for record in found for r in record["representatives"]}
    assert titles <= expected


def test_every_line_is_one_record(result: Result) -> None:
    content = result.path("clusters_jsonl").read_bytes()
    assert content.endswith(b"\n")
    assert content.count(b"\n") == len(lines(result)) == result.metrics["clusters"]


def test_counts_agree_everywhere(result: Result) -> None:
    report = json.loads(result.path("report").read_bytes())
    counts = report["counts"]
    members = pq.read_table(result.files["members_parquet"])
    assert counts["read"] == len(members) == 30
    statuses = members["status"].to_pylist()
    for name in ("clustered", "noise", "filtered", "unassigned"):
        assert counts[name] == statuses.count(name)
    assert counts["clustered"] == sum(record["cluster_size"] for record in lines(result))
    assert counts["clusters"] == len(table(result, "clusters_csv")) == len(lines(result))
    assert len(table(result, "members_csv")) == 30
    sizes = [record["cluster_size"] for record in lines(result)]
    assert report["sizes"]["max"] == max(sizes)
    assert sum(each["items"] for each in report["sizes"]["histogram"]) == counts["clustered"]
    assert report["largest_cluster_share"] == max(sizes) / counts["clustered"]
    assert report["coverage"] == counts["clustered"] / 30
    assert report["outlier_share"] == counts["noise"] / 30
    assert set(report["seconds"]) == {
        "snapshot",
        "plan",
        "cluster",
        "merge",
        "tag",
        "trend",
        "identify",
    }
    assert report["input"]["undated"] == 1
    assert report["tags"]["of_stage3"] == 29  # the domain of all items but one
    assert (report["errors"]["failed_parts"], report["errors"]["total"]) == (0, 0)


def test_the_columns_of_members_parquet(result: Result) -> None:
    members = pq.read_table(result.files["members_parquet"])
    text, number = pa.string(), pa.float32()
    assert {field.name: field.type for field in members.schema} == {
        "vector_id": text,
        "source_id": text,
        "cluster_id": text,
        "status": text,
        "assignment": text,
        "probability": number,
        "similarity": number,
        "metadata": text,
        "tags": text,
        "near_duplicate_of": text,
    }
    rows = members.to_pylist()
    assert [row["vector_id"] for row in rows] == sorted(row["vector_id"] for row in rows)
    for row in rows:
        clustered = row["status"] == "clustered"
        assert (row["cluster_id"] is not None) is clustered
        assert row["assignment"] == ("core" if clustered else None)
        assert (row["probability"] > 0) is clustered
        assert (row["similarity"] is not None) is clustered


def test_members_of_both_forms_and_the_records_agree(result: Result) -> None:
    parquet = pq.read_table(result.files["members_parquet"]).to_pylist()
    of_source = {row["source_id"]: row for row in parquet}
    for row in table(result, "members_csv"):
        other = of_source[row["source_id"]]
        assert row["vector_id"] == other["vector_id"]
        assert (row["cluster_id"] or None) == other["cluster_id"]
        assert row["status"] == other["status"]
        assert json.loads(row["metadata"]) == json.loads(other["metadata"])
        assert "\0" not in row["metadata"]
    for record in lines(result):
        for name, probability, similarity in zip(
            record["member_ids"],
            record["member_probabilities"],
            record["member_similarities"],
            strict=True,
        ):
            member = of_source[name]
            assert member["cluster_id"] == record["cluster_id"]
            assert member["probability"] == pytest.approx(probability, abs=1e-6)
            assert member["similarity"] == pytest.approx(similarity, abs=1e-6)


def test_null_is_an_empty_field_without_quotes(result: Result) -> None:
    content = Path(result.files["members_csv"]).read_text()
    header = content.split("\n", 1)[0]
    columns = [name.strip('"') for name in header.split(",")]
    assert columns == [
        "vector_id",
        "source_id",
        "document_id",
        "cluster_id",
        "status",
        "assignment",
        "probability",
        "similarity",
        "occurred_at",
        "metadata",
        "tags",
        "near_duplicate_of",
    ]
    (undated,) = [row for row in table(result, "members_csv") if not row["occurred_at"]]
    start = content.index(undated["vector_id"])
    written = content[start : content.index("{", start)]
    assert written.endswith(',,"')  # NULL, then the quote that opens the metadata
    noise = next(row for row in table(result, "members_csv") if row["status"] == "noise")
    start = content.index(noise["vector_id"])
    assert ',,"noise",,' in content[start : content.index("\n", start)]
    assert '""' not in header


def test_clusters_csv_holds_the_record_but_for_what_is_stored_apart(result: Result) -> None:
    rows = table(result, "clusters_csv")
    assert list(rows[0]) == CLUSTER_SCHEMA.names
    for row, record in zip(rows, lines(result), strict=True):
        assert (row["cluster_id"], row["label"]) == (record["cluster_id"], record["cluster_label"])
        assert int(row["size"]) == record["cluster_size"]
        apart = {"centroid_vector", "member_ids", "member_probabilities", "member_similarities"}
        apart |= {"member_tags", "near_duplicate_of"}
        assert json.loads(row["record"]) == {k: v for k, v in record.items() if k not in apart}
        assert json.loads(row["centroid"]) == record["centroid_vector"]
        for name in ("keywords", "representatives", "primary_entities", "document_ids", "tags"):
            assert json.loads(row[name]) == record[name]
        assert row["start_time"].startswith(record["temporal_span"][0][:10])
        assert row["entity_type"] == ""


def test_a_second_run_elsewhere_writes_the_same_bytes(
    workbench: Workbench, result: Result, tmp_path: Path
) -> None:
    other = label(replace(workbench, workspace=UPath(tmp_path / "other")))
    for name in ("clusters_jsonl", "members_parquet", "clusters_csv", "members_csv"):
        assert result.path(name).read_bytes() == other.path(name).read_bytes(), name


def test_garbage_is_looked_for_seldom_until_the_files_are_written(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, within = gc.get_threshold(), list[int]()

    def report(*given: Any) -> dict[str, Any]:
        within.append(gc.get_threshold()[0])
        return make_report(*given)

    monkeypatch.setattr(label_step, "make_report", report)
    workbench.stage3.write("events", blobs([4, 4]), [plain_metadata("events", n) for n in range(8)])
    label(workbench)
    assert min(within) > 1000 * usual[0]
    assert gc.get_threshold() == usual


def test_label_settings_bound_what_is_kept(workbench: Workbench, result: Result) -> None:
    few = {"keywords": 2, "representatives": 1, "primary_entities": 1}
    for record in lines(label(workbench, "few", label=few)):
        assert len(record["keywords"]) <= 2
        assert len(record["representatives"]) == 1
        assert len(record["primary_entities"]) <= 1


@pytest.mark.parametrize("level", ["documents", "events", "entities", "storylines"])
def test_files_have_the_same_bytes_whatever_the_number_of_processes(
    workbench: Workbench, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = [
        plain_metadata(level, n) | {name: HOSTILE[n % len(HOSTILE)] for name in TEXTS[level]}
        for n in range(60)
    ]
    workbench.stage3.write(level, blobs([9] * 6, noise=6, spread=0.05), metadata)
    workbench.perform(level, hdbscan=HDBSCAN)
    run = workbench.start(level, hdbscan=HDBSCAN)
    monkeypatch.setattr(proposals, "_AT_ONCE", 10)  # six tasks
    found = set()
    for enough, threads in ((10**9, "4"), (0, "2"), (0, "4")):
        monkeypatch.setattr(label_step, "_ENOUGH", enough)
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        shutil.rmtree(str(run.workspace / level / "artefacts" / "label"))
        result = label_step.label(run)
        assert not result.reused
        names = ("clusters_jsonl", "clusters_csv", "members_csv", "labels")
        found.add(tuple(result.path(name).read_bytes() for name in names))
    assert len(found) == 1
    assert found.pop()[0].count(b"\n") >= 6  # of entities a type has its own
