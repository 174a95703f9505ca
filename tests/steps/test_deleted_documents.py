"""`snapshot` leaves the items of deleted documents out; those of its context too."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from clustering_tasks.deleted_documents.tombstones import document_hash, key_check, tombstones
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.redact.redact import redact
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import load_run
from tests.conftest import CommandLine, Workbench
from tests.contract import check_jsonl
from tests.stage3_folder import blobs, write_chunks

SECRET = "a secret of the tests"


def test_items_of_a_deleted_document_are_left_out_and_counted(workbench: Workbench) -> None:
    for level in ("events", "documents"):
        workbench.stage3.write(level, blobs([6, 6], noise=3))
    whole = snapshot(workbench.start("events", "whole"))
    items = pq.read_table(whole.path("items").path)
    gone = next(name for name in items["document_id"].to_pylist() if name is not None)
    deleted = tombstones(SECRET, [document_hash(SECRET, gone)], {key_check(SECRET)})
    run = workbench.start("events", "without")
    cut = snapshot(run, stage3_count=len(items), deleted=deleted)
    assert cut.key != whole.key
    left = pq.read_table(cut.path("items").path)
    stays = [name != gone for name in items["document_id"].to_pylist()]
    names = items["vector_id"].filter(stays).to_pylist()
    assert left["vector_id"].to_pylist() == names
    assert cut.metrics["items"] == len(names)
    assert cut.metrics["deleted"] == len(items) - len(names)
    again = snapshot(workbench.start("events", "again"), len(items), deleted)
    assert (again.key, again.reused) == (cut.key, True)
    context = pq.read_table(run.result("context").path("items").path)
    assert gone not in context["document_id"].to_pylist()


def test_what_is_left_of_a_cluster_and_is_of_one_item_is_no_cluster(workbench: Workbench) -> None:
    """Without doc_1 three vectors of doc_0 are left of one cluster; the other has two items."""
    write_chunks(workbench.stage3, [4, 4], "00012231")
    workbench.perform("documents", hdbscan={"min_cluster_size": 2})
    deleted = tombstones(SECRET, [document_hash(SECRET, "doc_1")], {key_check(SECRET)})
    redact(workbench.workspace, LEVELS["documents"], "delete", deleted)
    label = load_run(workbench.workspace, LEVELS["documents"], "job").result("label")
    check_jsonl(Path(label.files["clusters_jsonl"]))
    (record,) = map(json.loads, Path(label.files["clusters_jsonl"]).read_text().splitlines())
    assert (record["member_ids"], record["cluster_size"]) == (["doc_2", "doc_3"], 2)
    members = pq.read_table(label.files["members_parquet"])
    left = zip(members["source_id"].to_pylist(), members["status"].to_pylist(), strict=True)
    assert sorted(left) == [
        *[("doc_0", "noise")] * 3,
        *[("doc_2", "clustered")] * 2,
        ("doc_3", "clustered"),
    ]


def test_a_workspace_with_deletions_needs_their_secret(
    workbench: Workbench, cli: CommandLine
) -> None:
    workbench.stage3.write("events", blobs([6]))
    folder = workbench.workspace
    folder.mkdir(parents=True)
    (folder / "deleted.json").write_text('{"hashes": ["00"], "key_checks": ["11"]}')
    done = cli(
        *("snapshot", "--level", "events", "--workspace", folder),
        *("--indices", workbench.stage3.path),
    )
    assert done.code == 64
    assert "STAGE4_DELETION_SECRET" in done.error
