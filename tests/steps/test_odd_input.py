"""What is odd but no error: it is counted, and the run goes on."""

import csv
import gc
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import NOON, Workbench
from tests.stage3_folder import blobs, plain_metadata, unit, write_chunks

Json = dict[str, Any]
NOTHING_ODD = dict.fromkeys(
    ("undated", "unparsable_dates", "implausible_dates", "unknown_domains", "without_document"), 0
)


def odd(workbench: Workbench, level: str = "events") -> Json:
    metrics = snapshot(workbench.start(level)).metrics
    return {name: metrics[name] for name in NOTHING_ODD if metrics[name]}


def test_dates_and_domains_are_counted(workbench: Workbench) -> None:
    good = plain_metadata("events", 0)
    metadata = [
        good,
        good | {"temporal_reference": None},
        good | {"temporal_reference": "some day"},
        good | {"temporal_reference": "2025-02-30"},
        good | {"domain": "gossip"},
        good | {"domain": "diplomatic"},
        {},
    ]
    workbench.stage3.write("events", blobs([7]), metadata)
    assert odd(workbench) == {"undated": 4, "unparsable_dates": 2, "unknown_domains": 1}
    done = workbench.perform("events", "all", hdbscan={"min_cluster_size": 2})
    assert done["read"] == 7


def test_ids_that_are_whole_numbers_are_read_as_text(workbench: Workbench) -> None:
    good = plain_metadata("events", 0)
    values = [{"document_id": each} for each in (4242, 4242.0, "4242", " 4242 ")]
    workbench.stage3.write("events", blobs([4]), [good | each for each in values])
    metadata = workbench.stage3.read_metadata("events")
    first = metadata["metadata_store"]["event_emb_doc_0000_event_0"]
    first["source_id"] = 17
    workbench.stage3.write_metadata("events", metadata)
    table = pq.read_table(snapshot(workbench.start("events")).files["items"])
    assert table["document_id"].to_pylist() == ["4242"] * 4
    assert table["source_id"].to_pylist()[0] == "17"


def test_further_vectors_of_one_item_are_counted(workbench: Workbench) -> None:
    workbench.stage3.write("documents", blobs([6]))
    assert snapshot(workbench.start("documents", "whole")).metrics["further_vectors"] == 0
    metadata = workbench.stage3.read_metadata("documents")
    for number, entry in enumerate(metadata["metadata_store"].values()):
        entry["source_id"] = f"doc_{number // 3}"
    workbench.stage3.write_metadata("documents", metadata)
    assert snapshot(workbench.start("documents")).metrics["further_vectors"] == 4


def test_a_record_names_an_item_of_several_vectors_once(workbench: Workbench) -> None:
    """Of chunks: doc_0 is in both clusters, and the third cluster is of doc_3 alone."""
    write_chunks(workbench.stage3, [4, 4, 4], "000112203333")
    done = workbench.perform("documents", hdbscan={"min_cluster_size": 2})
    lines = Path(done["clusters_jsonl"]).read_text().splitlines()
    found = {frozenset(record["member_ids"]): record for record in map(json.loads, lines)}
    assert found.keys() == {frozenset({"doc_0", "doc_1"}), frozenset({"doc_0", "doc_1", "doc_2"})}
    for members, record in found.items():
        assert record["cluster_size"] == len(record["member_ids"]) == len(members)
        assert len({each["id"] for each in record["representatives"]}) == len(members)
    assert (done["clusters"], done["clustered"], done["noise"]) == (2, 8, 4)
    members = pq.read_table(done["members_parquet"])
    assert members.num_rows == 12, "each vector has its row"
    lone = members.filter(pc.equal(members["source_id"], "doc_3"))
    assert lone["status"].to_pylist() == ["noise"] * 4
    label = json.loads((workbench.workspace / "documents/runs/job/label.json").read_text())
    with Path(label["files"]["clusters_csv"]).open(newline="") as file:
        assert [row["size"] for row in csv.DictReader(file)] == ["4", "4"], "vectors"


def test_what_one_item_holds_in_a_field_that_nobody_reads_passes_through(
    workbench: Workbench,
) -> None:
    good = plain_metadata("documents", 0)
    odd = {"simhash": 17 * 10**18, "larger": 10**40, "half": "caf\udce9", "\ud83d": ["\ud83d!"]}
    workbench.stage3.write("documents", blobs([4]), [good | odd, good, good, good])
    result = snapshot(workbench.start("documents"))
    assert result.metrics["half_characters"] == 1
    stored = json.loads(pq.read_table(result.files["items"])["metadata"].to_pylist()[0])
    whole = {"half": "caf\ufffd", "\ufffd": ["\ufffd!"], "larger": 10**40, "simhash": 17 * 10**18}
    assert stored == good | whole
    done = workbench.perform("documents", "all", hdbscan={"min_cluster_size": 2})
    assert done["read"] == 4
    members = pq.read_table(done["members_parquet"])
    assert str(10**40) in members["metadata"].to_pylist()[0]


def test_values_that_answers_cut_are_counted_with_an_example(workbench: Workbench) -> None:
    good = plain_metadata("documents", 0)
    long = {"body": "x" * 5000, "tags": ["tag"] * 5000, "title": "y" * 4096}
    workbench.stage3.write("documents", blobs([3]), [good | long, good, good])
    metrics = snapshot(workbench.start("documents")).metrics
    assert metrics["long_values"] == 2
    assert str(metrics["long_values_example"]).startswith("tags: [")


def test_implausible_dates_are_counted_with_an_example_in_the_report(workbench: Workbench) -> None:
    good = plain_metadata("documents", 0)
    metadata = [
        good,
        good | {"publication_date": "20251214123000"},
        good | {"publication_date": 0},
        good | {"publication_date": "2099-12-31"},
        good | {"publication_date": "03/04/2025"},
    ]
    workbench.stage3.write("documents", blobs([5]), metadata)
    done = workbench.perform("documents", hdbscan={"min_cluster_size": 2})
    report = json.loads(Path(done["report"]).read_text())
    assert {name: value for name, value in report["input"].items() if "date" in name} == {
        "undated": 3,
        "unparsable_dates": 1,
        "unparsable_dates_example": "publication_date: '03/04/2025'",
        "implausible_dates": 2,
        "implausible_dates_example": "publication_date: 0",
    }
    times = pq.read_table(snapshot(workbench.start("documents")).files["items"])["start_time"]
    assert times.to_pylist()[1:3] == [datetime(2025, 12, 14, 12, 30, tzinfo=UTC), None]


def test_the_range_of_dates_is_that_of_the_runs_year(workbench: Workbench) -> None:
    far = plain_metadata("documents", 0) | {"publication_date": "2032-06-01"}
    workbench.stage3.write("documents", blobs([2]), [far, far])
    now = snapshot(workbench.start("documents", "now"))
    assert now.metrics["implausible_dates"] == 2
    soon = replace(workbench.start("documents", "soon"), as_of=NOON.replace(month=12))
    assert snapshot(soon).reused
    later = replace(workbench.start("documents", "later"), as_of=NOON.replace(year=2027))
    assert snapshot(later).metrics["implausible_dates"] == 0


@pytest.mark.parametrize("level", LEVELS)
def test_items_without_any_optional_field_go_all_the_way(workbench: Workbench, level: str) -> None:
    workbench.stage3.write(level, blobs([6, 6]), [{}] * 12)
    done = workbench.perform(level, hdbscan={"min_cluster_size": 3})
    assert done["read"] == 12
    assert done["clusters"] == 2
    assert done["published"]


@pytest.mark.parametrize("level", LEVELS)
def test_each_optional_field_may_be_missing_or_of_another_type(
    workbench: Workbench, level: str
) -> None:
    whole = plain_metadata(level, 1)
    values: list[Any] = [None, 7, "text", [], {}, [None, 3, "x"], True]
    metadata = [{k: v for k, v in whole.items() if k != field} for field in whole]
    metadata += [whole | {field: value} for field in whole for value in values]
    count = len(metadata)
    workbench.stage3.write(level, blobs([count // 2, count - count // 2]), metadata)
    done = workbench.perform(level, hdbscan={"min_cluster_size": 2})
    assert done["read"] == count
    assert done["clusters"]


@pytest.mark.parametrize("kind", ["flat_l2", "idmap", "idmap2"])
def test_the_kind_of_index_and_the_order_of_the_files_change_nothing(
    workbench: Workbench, kind: str
) -> None:
    vectors = blobs([5, 5], noise=3)
    names = workbench.stage3.write("events", vectors)
    first = snapshot(workbench.start("events", "plain"))
    order = [*range(12, -1, -2), *range(1, 13, 2)]
    workbench.stage3.write("events", vectors, kind=kind, order=order)
    second = snapshot(workbench.start("events", "other"))
    assert first.key != second.key
    for file in ("vectors", "items"):
        assert first.path(file).read_bytes() == second.path(file).read_bytes()
    assert pq.read_table(second.files["items"])["vector_id"].to_pylist() == sorted(names)


def test_every_item_keeps_its_own_metadata(workbench: Workbench) -> None:
    vectors = blobs([20])
    metadata = [{"event_description": f"number {n}"} for n in range(20)]
    order = [7 * n % 20 for n in range(20)]
    names = workbench.stage3.write("events", vectors, metadata, kind="idmap", order=order)
    result = snapshot(workbench.start("events"))
    table = pq.read_table(result.files["items"])
    titles = dict(zip(table["vector_id"].to_pylist(), table["title"].to_pylist(), strict=True))
    assert titles == {name: f"number {n}" for n, name in enumerate(names)}
    rows = np.load(result.files["vectors"])
    at = {name: row for row, name in enumerate(table["vector_id"].to_pylist())}
    np.testing.assert_allclose(rows[[at[name] for name in names]], vectors, atol=1e-6)


def test_norms_within_the_tolerance_are_made_exact_and_identical_vectors_found(
    workbench: Workbench,
) -> None:
    vectors = blobs([4])
    vectors[:, 0] = -0.0
    vectors[3] = vectors[2]
    vectors[3, 0] = 0.0
    scale = np.array([[1.0009], [0.9991], [1.0005], [1.0005]], dtype=np.float32)
    workbench.stage3.write("events", unit(vectors) * scale)
    result = snapshot(workbench.start("events"))
    rows = np.load(result.files["vectors"])
    np.testing.assert_allclose(np.linalg.norm(rows.astype(float), axis=1), 1, atol=1e-7)
    assert not np.signbit(rows[:, 0]).any()
    assert result.metrics["identical_vectors"] == 1
    assert pq.read_table(result.files["items"])["first_identical_row"].to_pylist() == [0, 1, 2, 2]


def test_the_garbage_collector_is_as_before_when_a_snapshot_ends(workbench: Workbench) -> None:
    usual = gc.get_threshold()
    workbench.stage3.write("events", blobs([3]), [{}] * 3)
    assert snapshot(workbench.start("events")).metrics["items"] == 3
    assert gc.get_threshold() == usual
    workbench.stage3.write("events", blobs([3]) * 2, [{}] * 3)
    with pytest.raises(BadInputError, match="not L2-normalised"):
        snapshot(workbench.start("events"))
    assert gc.get_threshold() == usual
