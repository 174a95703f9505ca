"""The commands of the README and the runbook, as a reader would paste them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published
from tests.readme import README, REPO, blocks


def sh(script: str, **variables: str) -> str:
    """Run a shell script that ends at its first failure; returns its standard output."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | {"no_proxy": "127.0.0.1"} | variables,
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr[-4000:]}"
    return done.stdout


def test_the_one_process_run_ends_with_the_result_that_is_shown(tmp_path: Path) -> None:
    [script] = blocks("One level, one process, no Airflow", "sh")
    # in this order: the checkout may lie below /tmp itself
    script = script.replace("/tmp/", f"{tmp_path}/")  # noqa: S108
    script = script.replace(".venv/bin/python", sys.executable)
    result = json.loads(sh(script).splitlines()[-1])

    [shown] = blocks("One level, one process, no Airflow", "json")
    assert set(result) == set(json.loads(shown))
    assert result["published"]
    assert result["read"] == sum(
        result[name] for name in ("clustered", "noise", "filtered", "unassigned")
    )
    again = json.loads(sh(script).splitlines()[-1])
    assert again["published"], "the same lines typed again"
    assert (result["lineage"], again["lineage"]) == (
        {"born": result["clusters"]},
        {"continued": result["clusters"]},
    )


def test_the_second_day_continues_the_first(tmp_path: Path) -> None:
    [script] = blocks("Day after day", "sh")
    script = script.replace("/tmp/", f"{tmp_path}/")  # noqa: S108
    script = script.replace(".venv/bin/python", sys.executable)
    first, second = (each for each in objects(sh(script)) if "mode" in each)
    assert (first["mode"], second["mode"]) == ("full", "incremental")
    assert first["lineage"] == {"born": first["clusters"]}
    assert second["lineage"]["continued"] > second["lineage"].get("born", 0)
    again = [each for each in objects(sh(script)) if "mode" in each]
    assert [each["mode"] for each in again] == ["incremental"] * 2, "the same lines typed again"
    assert [each["clusters"] for each in again] == [first["clusters"], second["clusters"]]


def test_a_search_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    [script] = blocks("Checkpoints", "sh", REPO / "docs" / "OPERATIONS.md")
    script = script.replace("/tmp/", f"{tmp_path}/")  # noqa: S108
    output = sh(script.replace(".venv/bin/python", sys.executable))
    assert "ended with 85" in output.splitlines()
    metrics = json.loads(output.splitlines()[-1])["metrics"]
    assert 0 < metrics["nodes_from_checkpoint"] < metrics["searched"]


@pytest.mark.airflow
def test_address_and_password_are_those_that_up_prints(airflow: Airflow) -> None:
    *_, script = blocks("What a newcomer gets", "sh")
    script = script.replace("make -s up", f"{sys.executable} -m local up")
    found = sh(
        script + 'printf "%s\\n" "$URL" "$PASSWORD"', STAGE4_STATE=str(airflow.stack.state.root)
    )
    assert found.splitlines() == [airflow.base_url, airflow.stack.state.secrets().password]


@pytest.mark.airflow
def test_a_run_is_started_by_rest_and_its_results_are_found(airflow: Airflow) -> None:
    password = airflow.stack.state.secrets().password
    [script] = blocks("Starting a run in Airflow", "sh")
    answer = sh(script, URL=airflow.base_url, PASSWORD=password)
    started = json.loads(answer)["dag_run_id"]
    run = airflow.api.wait("cluster_events", started)
    assert run["state"] == "success", airflow.explain(run)

    token = airflow.client.headers["Authorization"].removeprefix("Bearer ")
    for request in blocks("Look-ups by REST", "sh"):
        found = json.loads(sh(request, URL=airflow.base_url, TOKEN=token))
        assert found["level"] == "events"
        assert len(found["clusters"]) <= 5

    [queries] = blocks("Where the results are", "sql")
    seen = published(airflow, "events")
    item = airflow.xcom(run, "label")["files"]["members_parquet"]
    assert Path(item).exists()
    with psycopg.connect(airflow.database_url) as connection:
        rows = [connection.execute(query).fetchall() for query in statements(queries)]
    current, largest, _, _, history = rows
    assert next(row for row in current if row[0] == "events")[1] == seen.job_id
    assert largest
    assert {row[0] for row in largest} <= set(seen.clusters)
    assert history


# The sections of one reader, from top to bottom, in one shell.
READING = (
    "What a newcomer gets",
    "One level, one process, no Airflow",
    "Day after day",
    "Starting a run in Airflow",
    "From a terminal",
    "Look-ups by REST",
)
# Run by .ci/run and test_local_demo: they take no part of an Airflow that is up.
TARGETS = ("make demo", "make test")


@pytest.mark.airflow
def test_a_reader_types_it_all_into_one_shell(airflow: Airflow, tmp_path: Path) -> None:
    """Each line as it stands, in its order; `make` and `/tmp` are the test's own."""
    run = airflow.run_dag("cluster_events")  # a reader would wait for the one that is started below
    assert run["state"] == "success", airflow.explain(run)
    lines = [block for title in READING for block in blocks(title, "sh")]
    script = "\n".join(block for block in lines if not block.startswith(TARGETS))
    script = script.replace("/tmp/", f"{tmp_path}/")  # noqa: S108
    script = script.replace("make -s up", f"{sys.executable} -m local up")
    output = sh(script, STAGE4_STATE=str(airflow.stack.state.root), HOME=str(tmp_path))
    found = list(objects(output))
    assert any(each.get("published") for each in found), "in one process"
    assert any(each.get("dag_id") == "cluster_events" for each in found), "by REST"
    lists = [each["level"] for each in found if isinstance(each.get("clusters"), list)]
    assert lists == ["events"] * 2, "the two look-ups"
    assert "storylines" in output
    assert (tmp_path / "stage4-password").stat().st_mode & 0o077 == 0


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text; curl ends its own with no line end."""
    place = text.find("{")
    while place >= 0:
        try:
            value, place = json.JSONDecoder().raw_decode(text, place)
            yield value
        except ValueError:
            place += 1
        place = text.find("{", place)


def test_every_line_for_a_shell_is_run_by_a_test() -> None:
    """One that is added is in a section that is read above, or in the one of its own test."""
    text = README.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    with_lines = {title for title in titles if blocks(title, "sh")}
    assert with_lines == {*READING, "Into an Airflow that exists already"}
    first, *_ = blocks(READING[0], "sh")
    assert [line.partition("  ")[0] for line in first.splitlines()] == list(TARGETS)


def statements(script: str) -> list[bytes]:
    """The statements of an SQL script."""
    return [part.encode() for part in re.split(r";\s*", script) if part.strip()]


@pytest.mark.airflow
def test_the_runbooks_request_clears_a_part_with_what_follows(airflow: Airflow) -> None:
    run = airflow.run_dag("cluster_documents")
    assert run["state"] == "success", airflow.explain(run)
    runbook = (REPO / "docs/OPERATIONS.md").read_text(encoding="utf-8")
    requests = re.findall(r"^```sh\n(curl.*?)^```$", runbook, flags=re.MULTILINE | re.DOTALL)
    [script] = [request for request in requests if "clearTaskInstances" in request]
    token = airflow.client.headers["Authorization"].removeprefix("Bearer ")

    sh(script, URL=airflow.base_url, TOKEN=token, RUN=run["dag_run_id"])

    again = airflow.api.wait("cluster_documents", run["dag_run_id"])
    assert again["state"] == "success", airflow.explain(again)
    tries = {task: it["try_number"] for (task, _), it in airflow.task_instances(again).items()}
    assert tries["plan"] == 1
    assert {tries[task] for task in ("cluster", "merge", "label", "publish")} == {2}
    assert airflow.xcom(again, "merge")["reused"]


def test_the_levels_of_the_readme_are_the_levels() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert [name for name in LEVELS if f"`cluster_{name}`" not in readme] == []
