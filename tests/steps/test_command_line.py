"""The command line as a runner uses it: exit codes, streams, and how it ends when told to."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clustering_tasks.engine.threads import thread_count
from clustering_tasks.settings.deployment import deployment
from tests.conftest import CommandLine
from tests.stage3_folder import DIMENSION, Stage3Folder, blobs
from tests.steps.conftest import Published

REPO = Path(__file__).parents[2]
SMALL = ("--set", f"input.dimension={DIMENSION}", "--set", "algorithm=hdbscan")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "clustering_tasks", *map(str, arguments)]


def finish(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def test_the_steps_one_by_one(cli: CommandLine, published: Published) -> None:
    """Settings that no earlier run had, so that every step has to work."""
    chosen = ("--set", "neighbours.k=12", "--set", "input.norm_tolerance=0.002")
    place = ("--level", "events", "--workspace", published.workspace, "--job", "steps")
    steps: list[tuple[object, ...]] = [
        ("snapshot", *place, "--indices", published.stage3.path, *SMALL, *chosen),
        ("plan", *place),
        ("cluster", *place, "--part", 0),
        ("merge", *place),
        ("tag", *place),
        ("trend", *place),
        ("identify", *place),
        ("label", *place),
        ("map", *place),
    ]
    recorded = published.workspace / "events" / "runs" / "steps"
    for step in steps:
        done = cli(*step)
        assert done.code == 0, done.stderr
        record = recorded / f"{step[0]}{'-0' if step[0] == 'cluster' else ''}.json"
        assert done.result == json.loads(record.read_text())
        assert not done.result["reused"]
        assert {entry["job_id"] for entry in done.logs} == {"steps"}
        assert len(done.stdout.splitlines()) == 1
    label = json.loads((recorded / "label.json").read_text())
    report = json.loads(Path(label["files"]["report"]).read_text())
    assert report["counts"]["read"] == 15


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda f: f.index("events").write_bytes(f.index("events").read_bytes()[:28]), 65),
        (lambda f: f.metadata("events").write_bytes(b"\x80\x04N."), 65),
        (lambda f: f.metadata("events").unlink(), 65),
    ],
    ids=["index cut off in its header", "pickle", "no metadata"],
)
def test_bad_input_ends_a_process_with_its_code(
    published: Published, break_it: object, code: int
) -> None:
    assert callable(break_it)
    break_it(published.stage3)
    before = published.kept()
    place = ("--level", "events", "--workspace", published.workspace)
    done = finish("snapshot", *place, "--indices", published.stage3.path, *SMALL)
    assert done.returncode == code
    assert done.stdout == ""
    *_, entry = [json.loads(line) for line in done.stderr.splitlines()]
    assert (entry["level"], entry["kind"]) == ("error", "BadInputError")
    assert published.kept() == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("snapshot", "--level", "events"),
        ("plan", "--level", "events", "--workspace", "w", "--bogus", "1"),
        ("cluster", "--level", "events", "--workspace", "w", "--part", "x"),
        ("no-such-step",),
    ],
)
def test_wrong_usage_is_fatal(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).code == 64


def test_help_is_no_failure(cli: CommandLine) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    steps = ("snapshot", "plan", "cluster", "merge", "tag", "trend", "identify", "label", "map")
    for step in (*steps, "run", "redact"):
        assert step in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--job", "unknown"], "no run unknown of level events"),
        (["merge", "--job", "begun"], "has no result of `snapshot`.*perform .* that step first"),
        (["cluster", "--job", "good", "--part", "9"], "has 1 parts, there is no part 9"),
        (["cluster", "--job", "good", "--part", "-1"], "there is no part -1"),
    ],
)
def test_a_step_out_of_turn_is_bad_input(
    cli: CommandLine, published: Published, arguments: list[str], message: str
) -> None:
    published.workbench.start("events", "begun")
    outcome = cli(*arguments, "--level", "events", "--workspace", published.workspace)
    assert outcome.code == 65
    assert re.search(message, outcome.error), outcome.error


def test_a_defect_ends_with_its_code_and_a_trace(cli: CommandLine, published: Published) -> None:
    """A damaged artefact stands for a defect: nothing of ours writes one."""
    for path in published.workspace.glob("events/artefacts/snapshot/*/*/items.parquet"):
        path.write_bytes(b"no parquet")
    for path in published.workspace.glob("events/artefacts/plan/*/result.json"):
        path.unlink()
    outcome = cli("plan", "--level", "events", "--workspace", published.workspace, "--job", "good")
    assert outcome.code == 70
    (entry,) = outcome.logs
    assert "Traceback" in entry["exception"]
    assert "items.parquet" in entry["exception"] or "Parquet" in entry["exception"]


def test_kernels_are_compiled_on_request(cli: CommandLine) -> None:
    outcome = cli("warm-up")
    assert outcome.code == 0
    assert outcome.result["compiled_seconds"] > 0


def write_by_command(folder: Path, documents: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "local.sample", str(folder), "--documents", str(documents)]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)


def test_a_sample_can_be_clustered_at_once(cli: CommandLine, tmp_path: Path) -> None:
    assert write_by_command(tmp_path / "sample", 12).returncode == 0
    place = ("--indices", tmp_path / "sample", "--workspace", tmp_path / "workspace")
    outcome = cli("run", "--level", "storylines", *place)
    assert outcome.code == 0
    assert outcome.result["read"] > 12
    drawn = tmp_path / "workspace" / "storylines" / "artefacts" / "map"
    assert "points_csv" not in outcome.result
    assert not drawn.exists()
    with_map = cli("run", "--level", "storyline", *place, "--map")  # the singular will do
    assert with_map.code == 0
    assert drawn in Path(with_map.result["points_csv"]).parents
    assert Path(with_map.result["points_csv"]).stat().st_size
    refused = write_by_command(tmp_path / "other", 0)
    assert refused.returncode == 64
    assert "at least 10 documents" in refused.stderr


def test_run_refuses_a_gate_that_needs_a_history(
    cli: CommandLine, stage3: Stage3Folder, tmp_path: Path
) -> None:
    outcome = cli(
        *("run", "--level", "events", "--indices", stage3.path, "--workspace", tmp_path / "w"),
        *("--set", "publish.max_drift=2"),
    )
    assert outcome.code == 64
    assert "publish.max_drift" in outcome.error


def test_run_prints_paths_and_counts_last(
    cli: CommandLine, stage3: Stage3Folder, tmp_path: Path
) -> None:
    stage3.write("events", blobs([6, 7], noise=4))
    outcome = cli(
        *("run", "--level", "events", "--indices", stage3.path, "--workspace", tmp_path / "w"),
        *("--as-of", "2026-03-01T23:30:00-02:00", "--output", tmp_path / "out"),
        *("--set", "hdbscan.min_cluster_size=2", *SMALL),
    )
    assert outcome.code == 0
    result = outcome.result
    assert result["read"] == 17
    assert result["published"]
    assert result["read"] == sum(
        result[name] for name in ("clustered", "noise", "filtered", "unassigned")
    )
    assert Path(result["members_parquet"]).is_file()
    assert json.loads(Path(result["report"]).read_text())["as_of"] == "2026-03-02T01:30:00Z"
    # the immutable file of the run, and the dated one, of the day in UTC
    assert len(list((tmp_path / "out").iterdir())) == 2
    lines = (tmp_path / "out" / "clustered_events_2026-03-02.jsonl").read_text().splitlines()
    assert len(lines) == result["clusters"] > 0
    assert all(entry["level"] != "error" for entry in outcome.logs)


@contextmanager
def waiting_for_stage3(published: Published, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A `snapshot` that has seen its folder change and waits ten minutes to copy it again."""
    process = subprocess.Popen(
        command(
            *("snapshot", "--level", "events", "--workspace", published.workspace),
            *("--indices", published.stage3.path, "--set", "input.copy_wait_seconds=600", *SMALL),
            *("--set", "evidence.context=false"),  # which would log before the index is copied
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    index = published.stage3.index("events")
    with index.open("ab") as file:
        file.truncate(1 << 25)  # so that the copy takes a while
    try:
        # it logs once the folder has changed during the copy
        while process.poll() is None and not _readable(process):
            with index.open("ab") as file:
                file.write(b"x")
        yield process
    finally:
        process.kill()
        process.communicate()


def _readable(process: subprocess.Popen[str]) -> bool:
    assert process.stderr is not None
    return bool(select.select([process.stderr], [], [], 0.001)[0])


def test_sigterm_ends_it_at_once_and_not_with_success(published: Published) -> None:
    with waiting_for_stage3(published) as process:
        process.send_signal(signal.SIGTERM)
        output, logs = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert output == ""
    assert [json.loads(line)["event"] for line in logs.splitlines()][-1] == "terminated"


@pytest.mark.parametrize("command", ["snapshot", "run"])
def test_a_wrong_setting_of_the_installation_is_named_with_its_variable(
    cli: CommandLine, published: Published, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("STAGE4_MAX_ITEMS", "many")
    monkeypatch.setenv("STAGE4_DELETION_SECRET", "too short")
    deployment.cache_clear()
    outcome = cli(
        *(command, "--level", "events", "--indices", published.stage3.path),
        *("--workspace", published.workspace, "--set", f"input.dimension={DIMENSION}"),
    )
    monkeypatch.undo()
    deployment.cache_clear()
    assert outcome.code == 64
    assert "STAGE4_MAX_ITEMS" in outcome.error
    assert "STAGE4_DELETION_SECRET" in outcome.error
    assert "many" in outcome.error
    assert "too short" not in outcome.stderr, "a secret"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("STAGE4_BATCH_ROWS", "1023"), ("STAGE4_CHECKPOINT_SECONDS", "-1")),
        *(("STAGE4_GPU_MEMORY_BYTES", "0"), ("STAGE4_CALLBACK_SECRET", "c2VjcmV0" * 4)),
        *(("OMP_NUM_THREADS", "-2"), ("OMP_NUM_THREADS", "many"), ("OMP_NUM_THREADS", "2 3")),
        ("STAGE4_TILES", "abacus"),
    ],
)
@pytest.mark.parametrize("command", ["run", "cluster", "check-settings"])
def test_a_wrong_environment_is_refused_before_a_command_works(
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    deployment.cache_clear()
    place = ("--level", "events", "--workspace", tmp_path / "workspace")
    own = {"run": (*place, "--indices", tmp_path), "cluster": (*place, "--part", 0)}
    outcome = cli(command, *own.get(command, ()))
    monkeypatch.undo()
    deployment.cache_clear()
    assert (outcome.code, list(tmp_path.iterdir())) == (64, [])
    assert name in outcome.error


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("3,2", 3), (" 4 ", 4)])
def test_threads_as_openmp_counts_them(
    monkeypatch: pytest.MonkeyPatch, value: str, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert thread_count() == threads
    for unset in ("", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", unset)
        assert thread_count() == len(os.sched_getaffinity(0))


def test_it_ends_with_its_parent(published: Published) -> None:
    with waiting_for_stage3(published, STAGE4_EXIT_WITH_PARENT="1") as process:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(timeout=30) == 70


def test_without_the_variable_a_closed_input_means_nothing(published: Published) -> None:
    with waiting_for_stage3(published, STAGE4_EXIT_WITH_PARENT="0") as process:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        time.sleep(0.5)
        assert process.poll() is None


def test_an_algorithm_is_recommended_with_its_reason(
    cli: CommandLine, stage3: Stage3Folder
) -> None:
    stage3.write("documents", blobs([6, 6], noise=3))
    done = cli("recommend", "--level", "documents", "--indices", stage3.path, *SMALL[:2])
    assert done.code == 0, done.stderr
    assert (done.result["algorithm"], done.result["items"]) == ("agglomerative", 15)
    assert "stories" in done.result["reason"]
    assert done.result["forecast"][0]["memory_bytes"] > 0
    many = cli("recommend", "--level", "events", "--items", 10**6, "--set", "algorithm=two_stage")
    assert (many.result["algorithm"], many.result["reason"]) == ("two_stage", "asked for")
    assert many.result["forecast"][0]["seconds"] > done.result["forecast"][0]["seconds"]


@pytest.mark.parametrize("arguments", [(), ("--items", 5, "--indices", "somewhere")])
def test_a_recommendation_is_for_one_number_of_items(
    cli: CommandLine, arguments: tuple[object, ...]
) -> None:
    done = cli("recommend", "--level", "documents", *arguments)
    assert done.code == 64
    assert "--indices or --items" in done.error


@pytest.mark.parametrize(
    ("level", "lines"), [("warning", False), ("WARNING", False), ("info", True)]
)
def test_the_steps_log_what_the_installation_wants(
    cli: CommandLine, published: Published, monkeypatch: pytest.MonkeyPatch, level: str, lines: bool
) -> None:
    monkeypatch.setenv("STAGE4_LOG_LEVEL", level)
    deployment.cache_clear()
    outcome = cli(
        *("snapshot", "--level", "events", "--indices", published.stage3.path),
        *("--workspace", published.workspace, "--set", f"input.dimension={DIMENSION}"),
    )
    monkeypatch.undo()
    deployment.cache_clear()
    assert outcome.code == 0
    assert (len(outcome.stderr.splitlines()) > 0) == lines
