"""Real news with the package's own clustering beside it; see STAGE4_TEST_DATA."""

import json
import os
from pathlib import Path
from typing import Any

import faiss
import hdbscan
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.conftest import CommandLine

REPOSITORY = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("STAGE4_TEST_DATA", REPOSITORY.parent / "shared/data")) / "ecbplus"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no test data: {FOLDER} is not there (set STAGE4_TEST_DATA)"
)


def run(cli: CommandLine, level: str, workspace: Path, *settings: str) -> dict[str, Any]:
    chosen = [part for setting in settings for part in ("--set", setting)]
    place = ("--indices", FOLDER, "--workspace", workspace)
    outcome = cli("run", "--level", level, *place, *chosen)
    assert outcome.code == 0, outcome.stderr
    return outcome.result


def assert_counts_add_up(done: dict[str, Any], read: int) -> None:
    assert done["read"] == read
    assert read == sum(done[name] for name in ("clustered", "noise", "filtered", "unassigned"))
    members = pq.read_table(done["members_parquet"])
    assert len(members) == read
    assert len(set(members["cluster_id"].drop_null().to_pylist())) == done["clusters"]
    lines = Path(done["clusters_jsonl"]).read_text().splitlines()
    assert len(lines) == done["clusters"]
    assert sum(json.loads(line)["cluster_size"] for line in lines) == done["clustered"]


def test_documents_are_clustered_as_by_the_package(cli: CommandLine, tmp_path: Path) -> None:
    done = run(
        cli,
        "documents",
        tmp_path,
        *("algorithm=hdbscan", "hdbscan.min_cluster_size=5", "hdbscan.min_samples=3"),
    )
    index = faiss.read_index(str(FOLDER / "documents.index"))
    vectors = index.reconstruct_n(0, index.ntotal)
    assert_counts_add_up(done, index.ntotal)
    model = hdbscan.HDBSCAN(min_cluster_size=5, min_samples=3, core_dist_n_jobs=1)
    theirs = model.fit(vectors.astype(float)).labels_
    id_map = json.loads((FOLDER / "documents_metadata.json").read_bytes())["id_map"]
    members = pq.read_table(done["members_parquet"])
    found = dict(
        zip(members["vector_id"].to_pylist(), members["cluster_id"].to_pylist(), strict=True)
    )
    names = sorted(id_map, key=id_map.__getitem__)
    ours = [found[name] or "noise" for name in names]
    assert adjusted_rand_score(ours, theirs) >= 0.95
