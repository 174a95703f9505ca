"""A round of real faults in the Airflow of the end-to-end tests: the campaign's short form.

The whole of it is `make campaign-real`; docs/RELIABILITY.md has its ledger.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.e2e.chaos.campaign import Round, campaign, undisturbed
from tests.e2e.chaos.faults import STRIKES
from tests.e2e.chaos.installation import ANSWER_SECONDS, DOCUMENTS, Installation
from tests.e2e.chaos.ledger import Entry, append, read, summary
from tests.e2e.chaos.schedule import KINDS, PAIRS, Fault, schedule, schedule_of_pairs
from tests.e2e.chaos.stage3 import Stage3Folder
from tests.e2e.conftest import Airflow
from tests.readme import REPO

LEDGER = REPO / "tests/e2e/chaos/ledger.jsonl"
# The smallest level: what the faults need is a run, and not a long one.
LEVEL = "documents"
FAULTS = (
    Fault("step_killed", LEVEL, "snapshot", 0, 0),
    Fault("connections_terminated", LEVEL, "plan", 0, 0),
    Fault("step_terminated", LEVEL, "label", 0, 0),
    Fault("task_killed", LEVEL, "load_postgres", 0.5, 0),
)


@pytest.fixture
def place(airflow: Airflow, tmp_path: Path) -> Iterator[Installation]:
    """The shared Airflow, which has no proxies and no disk of its own."""
    stage3 = Stage3Folder.make(tmp_path / "stage3", DOCUMENTS)
    airflow.client.timeout = ANSWER_SECONDS
    with airflow.reading(stage3.path):
        yield Installation(airflow, stage3, {})


@pytest.mark.airflow
def test_a_run_under_faults_publishes_what_an_undisturbed_one_does(place: Installation) -> None:
    disturbed = Round(place, 0, undisturbed(place, [LEVEL]).expected, FAULTS)
    (entry,) = entries = disturbed.run([LEVEL])
    disturbed.add_undelivered(entries)
    assert [fault["kind"] for fault in entry.faults if fault["hit"]], entry
    assert (entry.ended, entry.wrong) == ("published", [])


@pytest.mark.airflow
@pytest.mark.heavy
def test_every_level_under_seeded_faults_of_every_kind(tmp_path: Path) -> None:
    done = campaign(1, 12, tmp_path / "ledger.jsonl")
    assert [entry for entry in done if entry.wrong] == []


def test_a_seed_names_a_schedule() -> None:
    kinds = [kind.name for kind in KINDS]
    one, same, other = (schedule(seed, [*LEVELS], kinds) for seed in (1, 1, 2))
    assert one == same != other
    assert {fault.level for fault in one} == {*LEVELS}
    many = [fault for seed in range(200) for fault in schedule(seed, [*LEVELS], kinds)]
    assert {fault.kind for fault in many} == {*STRIKES}


def test_pairs_that_were_never_hit_are_shared_out_among_the_levels() -> None:
    pairs = {("step_killed", "map"), ("redis_killed", "plan"), ("hook_away", "publish")}
    chosen = schedule_of_pairs(1, ["documents", "events"], pairs)
    assert {(fault.kind, fault.step) for fault in chosen} == pairs
    assert [fault.level for fault in chosen] == ["documents", "events", "documents"]
    assert {fault.wait for fault in chosen} == {0}
    assert len(schedule_of_pairs(1, ["documents"], PAIRS, most=5)) == 5
    assert schedule_of_pairs(1, ["documents"], set()) == []


def test_the_page_has_the_table_of_the_ledger_that_is_kept() -> None:
    page = (REPO / "docs/RELIABILITY.md").read_text("utf-8")
    assert summary(read([LEDGER])) in page


def test_the_ledger_counts_what_has_hit(tmp_path: Path) -> None:
    hit = Fault("step_killed", LEVEL, "merge", 0, 0).record() | {"hit": True}
    late = Fault("task_killed", LEVEL, "merge", 0, 0).record() | {"hit": False}
    path = tmp_path / "ledger.jsonl"
    append(path, Entry(1, LEVEL, [hit, late], [], "published", 1.5))
    append(path, Entry(2, LEVEL, [hit], [], "published", 1.5, ["a lock"], "docker", 2.5))
    rows = summary(read([path])).splitlines()
    assert "| step_killed | 2 | 1 | 0 | 1 |" in rows
    assert "| all | 2 | 1 | 0 | 1 |" in rows
    assert rows[-1] == (
        "2 runs, 1 with a wrong end. Of the last 1, 1 were in containers, and the load was"
        " 2.5 to 2.5 tasks for each core (median 2.5)."
        f" Of {sum(len(kind.tasks) for kind in KINDS)} pairs of a fault and a task, 1 were hit"
    )
