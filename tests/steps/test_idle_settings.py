"""Settings without effect: named by every run, and really without one."""

import json
from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.run import run_settings
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import SMALL, blobs, plain_metadata
from tests.unit.settings.test_idle import EVENTS, idle

VECTORS = blobs([12, 9, 14, 8], noise=15)
IDLE: dict[str, Any] = {"hdbscan.min_cluster_size": 4, "outliers.threshold": 0.7}


@pytest.fixture
def bench(workbench: Workbench) -> Workbench:
    """A folder with events."""
    metadata = [plain_metadata("events", number) for number in range(len(VECTORS))]
    workbench.stage3.write("events", VECTORS, metadata)
    return workbench


def clusters(done: dict[str, Any]) -> list[list[str]]:
    """The members of each cluster."""
    lines = Path(done["clusters_jsonl"]).read_text().splitlines()
    return sorted(json.loads(line)["member_ids"] for line in lines)


def test_result_and_report_name_them(bench: Workbench) -> None:
    done = bench.perform("events", algorithm="label_propagation", **IDLE)
    assert [each["setting"] for each in done["idle_settings"]] == [
        "hdbscan.min_cluster_size",
        "outliers.threshold",
    ]
    of_dag = read_report(done["report"]).model_dump(mode="json")["idle_settings"]
    assert of_dag == done["idle_settings"]
    assert of_dag[1]["reason"] == (
        "acts only where outliers.policy is nearest; here outliers.policy is skip"
    )


def test_the_command_line_warns_of_them(bench: Workbench, cli: CommandLine) -> None:
    pairs = {"input.dimension": SMALL["input"]["dimension"], "alerts.history": 9, **IDLE}
    given = (part for pair in pairs.items() for part in ("--set", "{}={}".format(*pair)))
    done = cli(
        *("run", "--level", "events", "--workspace", bench.workspace),
        *("--indices", bench.stage3.path, *given),
    )
    assert done.code == 0, done.stderr
    named = [each["setting"] for each in done.result["idle_settings"]]
    assert named == [*IDLE, "alerts.history"]
    warnings = [entry["event"] for entry in done.logs if "has no effect" in entry["event"]]
    assert [warning.partition("=")[0] for warning in warnings] == named


@pytest.mark.parametrize("case", EVENTS, ids=[name for name, _, _ in EVENTS])
def test_a_setting_that_is_named_changes_no_cluster(
    bench: Workbench, case: tuple[str, dict[str, Any], dict[str, Any]]
) -> None:
    name, chosen, _ = case
    chosen = {"algorithm": "label_propagation"} | chosen
    assert name in idle("events", chosen)
    without = {key: value for key, value in chosen.items() if key != name}
    with_it, without_it = bench.start("events", "a", **chosen), run_settings(SMALL, without)
    assert with_it.settings != without_it
    assert clusters(bench.perform("events", "b", **chosen)) == clusters(
        bench.perform("events", "c", **without)
    )
