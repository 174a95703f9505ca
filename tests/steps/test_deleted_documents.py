"""`snapshot` leaves the items of deleted documents out; those of its context too."""

import pyarrow.parquet as pq

from clustering_tasks.deleted_documents.tombstones import document_hash, key_check, tombstones
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import blobs

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
