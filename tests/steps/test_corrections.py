"""Corrections through all steps: they hold in files, with every algorithm, run after run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.frozen import freeze, frozen_folder, read_frozen
from clustering_tasks.deleted_documents.tombstones import document_hash, key_check, tombstones
from clustering_tasks.pipeline import run_all
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.redact.corrections import redact_corrections
from tests.conftest import CommandLine, Workbench
from tests.contract import check_jsonl
from tests.stage3_folder import SMALL, blobs, plain_metadata

Json = dict[str, Any]


def perform(
    workbench: Workbench,
    corrections: list[Json],
    job: str = "job",
    level: str = "events",
    **settings: Any,
) -> Json:
    run = workbench.start(level, job, **settings)
    made = [
        Correction.model_validate({"correction_id": n} | each)
        for n, each in enumerate(corrections, 1)
    ]
    digest = freeze(workbench.workspace, level, made)
    run = replace(run, corrections=digest)
    run.start()
    done = run_all(run, workbench.output)
    check_jsonl(Path(done["clusters_jsonl"]))
    return done


def rows(done: Json) -> dict[str, Json]:
    return {row["vector_id"]: row for row in pq.read_table(done["members_parquet"]).to_pylist()}


def clusters(done: Json) -> dict[str, str | None]:
    return {name: row["cluster_id"] for name, row in rows(done).items()}


def records(done: Json) -> dict[str, Json]:
    lines = Path(done["clusters_jsonl"]).read_text().splitlines()
    return {each["cluster_id"]: each for each in map(json.loads, lines)}


def report(done: Json) -> Json:
    read: Json = json.loads(Path(done["report"]).read_bytes())["corrections"]
    return read


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("policy", ["skip", "nearest", "individual"])
def test_links_hold_whatever_the_algorithm_and_the_policy(
    workbench: Workbench, algorithm: str, policy: str
) -> None:
    names = workbench.stage3.write("events", blobs([6, 6, 6], noise=3))
    settings: Json = {
        "algorithm": algorithm,
        "outliers": {"policy": policy, "threshold": 0.1},
    }
    before = clusters(perform(workbench, [], **settings))
    done = perform(
        workbench,
        [
            {"kind": "together", "items": [names[0], names[6]]},
            {"kind": "apart", "items": [names[12]], "others": names[13:18]},
            {"kind": "together", "items": [names[18], names[1]]},
        ],
        "corrected",
        **settings,
    )
    after = rows(done)
    assert len({after[name]["cluster_id"] for name in (*names[:2], names[6], names[18])}) == 1
    assert after[names[18]]["probability"] == 1
    assert after[names[18]]["assignment"] == "core"
    kept = {after[name]["cluster_id"] for name in names[13:18]} - {None}
    assert after[names[12]]["cluster_id"] not in kept
    assert report(done) == {"applied": 3, "waiting": 0, "contradicting": 0, "contradictions": []}
    assert before[names[0]] == before[names[1]]
    assert done["read"] == done["clustered"] + done["noise"]
    assert sum(each["cluster_size"] for each in records(done).values()) == done["clustered"]


def test_centroids_are_those_of_the_corrected_clusters(workbench: Workbench) -> None:
    vectors = blobs([6, 6])
    names = workbench.stage3.write("events", vectors)
    done = perform(workbench, [{"kind": "together", "items": [names[0], names[6]]}])
    (record,) = records(done).values()
    mean = vectors.mean(axis=0)
    np.testing.assert_allclose(record["centroid_vector"], mean / np.linalg.norm(mean), atol=1e-5)
    assert record["corrections"] == [{"correction_id": 1, "kind": "together"}]


def test_a_source_id_stands_for_all_vectors_of_an_item(workbench: Workbench) -> None:
    names = workbench.stage3.write("events", blobs([6, 6]))
    content = workbench.stage3.read_metadata("events")
    for name in names[:3]:  # three chunks of one item
        content["metadata_store"][name]["source_id"] = "doc_0000_event_0"
    workbench.stage3.write_metadata("events", content)
    done = perform(
        workbench, [{"kind": "apart", "items": ["doc_0000_event_0"], "others": [names[4]]}]
    )
    found = clusters(done)
    assert len({found[name] for name in names[:3]}) == 1
    assert found[names[0]] != found[names[4]]


def test_items_that_are_not_there_wait_and_hold_when_they_come(workbench: Workbench) -> None:
    vectors = blobs([6, 6])
    names = workbench.stage3.write("events", vectors)
    link = [{"kind": "together", "items": [names[0], names[6]]}]
    workbench.stage3.write("events", vectors[:6])
    assert report(perform(workbench, link, "early"))["waiting"] == 1
    workbench.stage3.write("events", vectors)
    found = clusters(perform(workbench, link, "late"))
    assert found[names[0]] == found[names[6]] is not None


def test_names_pins_and_hidden_ones_are_in_the_records(workbench: Workbench) -> None:
    workbench.stage3.write("events", blobs([6, 6]))
    one, two = sorted(records(perform(workbench, [])))
    done = perform(
        workbench,
        [
            {"kind": "rename", "cluster_id": one, "label": "<b>The</b> summit"},
            {"kind": "pin", "cluster_id": one},
            {"kind": "hide", "cluster_id": two},
            {"kind": "rename", "cluster_id": one, "label": "Another name"},
            {"kind": "pin", "cluster_id": "event_000000000000"},
        ],
        "named",
    )
    found = records(done)
    assert found[one]["cluster_label"] == "The summit"
    assert [each["kind"] for each in found[one]["corrections"]] == ["rename", "pin"]
    assert [each["kind"] for each in found[two]["corrections"]] == ["hide"]
    assert report(done) == {
        "applied": 3,
        "waiting": 1,
        "contradicting": 1,
        "contradictions": ["4 contradicts 1"],
    }


def test_contradictions_are_named_and_the_earlier_holds(workbench: Workbench) -> None:
    names = workbench.stage3.write("events", blobs([6, 6]))
    done = perform(
        workbench,
        [
            {"kind": "together", "items": [names[0], names[6]]},
            {"kind": "apart", "items": [names[6]], "others": [names[0]]},
        ],
    )
    found = clusters(done)
    assert found[names[0]] == found[names[6]]
    assert report(done)["contradictions"] == ["2 contradicts 1"]


def test_a_name_alone_does_not_cluster_again(workbench: Workbench) -> None:
    workbench.stage3.write("events", blobs([6, 6]))
    (one, *_) = records(perform(workbench, [], "first"))
    perform(workbench, [{"kind": "pin", "cluster_id": one}], "second")
    merges = [workbench.start("events", job).result("merge") for job in ("first", "second")]
    assert merges[0].key == merges[1].key
    assert merges[1].reused


def test_identical_vectors_of_two_people_can_be_told_apart(workbench: Workbench) -> None:
    vectors: F32 = np.repeat(blobs([1, 1]), [4, 4], axis=0)
    metadata = [plain_metadata("entities", n) | {"entity_type": "PER"} for n in range(8)]
    names = workbench.stage3.write("entities", vectors, metadata)
    done = perform(
        workbench,
        [
            {"kind": "apart", "items": [names[0]], "others": [names[2]]},
            {"kind": "together", "items": names[:2]},
        ],
        level="entities",
        algorithm="agglomerative",
    )
    found = clusters(done)
    assert found[names[0]] == found[names[1]] is not None
    assert found[names[2]] == found[names[3]] not in (None, found[names[0]])


def command(workbench: Workbench, file: Path, *more: object) -> tuple[object, ...]:
    chosen = [
        f"{name}={value}" for name, value in {"input.dimension": 16, "algorithm": "hdbscan"}.items()
    ]
    return (
        *("run", "--level", "events", "--workspace", workbench.workspace),
        *("--indices", workbench.stage3.path, "--corrections", file),
        *(part for each in chosen for part in ("--set", each)),
        *more,
    )


def test_the_command_line_takes_a_file(
    workbench: Workbench, cli: CommandLine, tmp_path: Path
) -> None:
    assert SMALL["algorithm"] == "hdbscan"
    names = workbench.stage3.write("events", blobs([6, 6]))
    file = tmp_path / "corrections.json"
    file.write_text(
        json.dumps([{"kind": "together", "items": [names[0], names[6]], "reason": "x"}])
    )
    done = cli(*command(workbench, file))
    assert done.code == 0, done.stderr
    assert len(records(done.result)) == 1


def test_the_command_line_refuses_a_file_that_contradicts_itself(
    workbench: Workbench, cli: CommandLine, tmp_path: Path
) -> None:
    workbench.stage3.write("events", blobs([6, 6]))
    file = tmp_path / "corrections.json"
    pair = [
        {"kind": "together", "items": ["a1", "b1"]},
        {"kind": "apart", "items": ["a1"], "others": ["b1"]},
    ]
    file.write_text(json.dumps(pair))
    done = cli(*command(workbench, file))
    assert done.code == 65
    assert "2 contradicts 1" in done.error


def test_a_runner_hands_on_what_check_stage3_has_frozen(
    workbench: Workbench, cli: CommandLine
) -> None:
    workbench.stage3.write("events", blobs([6, 6]))
    # they contradict each other, which stops no run that the DAG began
    pair = [
        Correction(correction_id=1, kind="together", items=("a1", "b1")),
        Correction(correction_id=2, kind="apart", items=("a1",), others=("b1",)),
    ]
    digest = freeze(workbench.workspace, "events", pair)
    file = frozen_folder(workbench.workspace, "events") / f"{digest}.json"
    start = (
        *("snapshot", "--level", "events", "--workspace", workbench.workspace),
        *("--indices", workbench.stage3.path, "--set", "input.dimension=16"),
        *("--corrections", file),
    )
    assert cli(*start).code == 0
    record = workbench.workspace / "events" / "runs" / "manual" / "run.json"
    assert json.loads(record.read_text())["corrections"] == digest
    file.unlink()
    gone = cli(*start)
    assert gone.code == 65
    assert "clear `check_stage3`" in gone.error


def test_every_level_takes_corrections(workbench: Workbench) -> None:
    for level in LEVELS:
        metadata = [plain_metadata(level, n) | {"entity_type": "ORG"} for n in range(12)]
        names = workbench.stage3.write(level, blobs([6, 6]), metadata)
        done = perform(
            workbench, [{"kind": "together", "items": [names[0], names[6]]}], level=level
        )
        assert len(records(done)) == 1


def test_a_deletion_takes_corrections_out_of_the_files_of_runs(workbench: Workbench) -> None:
    names = workbench.stage3.write("events", blobs([6, 6]))
    gone, stays = names[0], names[11]
    assert "doc_0000" in gone
    link = {"kind": "together", "items": [gone, stays]}
    pair = {"kind": "together", "items": names[10:12]}
    perform(workbench, [link, pair])
    record = workbench.workspace / "events" / "runs" / "job" / "run.json"
    secret = "a secret of the tests"
    deleted = tombstones(secret, [document_hash(secret, "doc_0000")], {key_check(secret)})
    assert redact_corrections(workbench.workspace, LEVELS["events"], deleted) == 1
    digest = json.loads(record.read_text())["corrections"]
    assert digest == _only(workbench)
    (left,) = read_frozen(workbench.workspace, "events", digest)
    assert left.items == tuple(pair["items"])
    assert redact_corrections(workbench.workspace, LEVELS["events"], deleted) == 0


def _only(workbench: Workbench) -> str:
    """The digest of the only file of corrections."""
    (path,) = frozen_folder(workbench.workspace, "events").iterdir()
    return path.stem
