"""Lasting ids in the database: the pointer's transaction sets them, whatever moves it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from clustering_tasks.deleted_documents.tombstones import Tombstones, document_hash
from stage4.database.changes import ID_CHANGES
from stage4.database.connection import database
from stage4.database.load import load_run
from stage4.database.pointer import locked_pointer
from stage4.database.retention import prune
from stage4.deletions.hiding import hide
from stage4.setup import migrate
from tests.integration import former_loads
from tests.integration.conftest import Results
from tests.integration.identified import BORN, Identified, Identity, document, event, items, show
from tests.integration.label_files import Label, report_of

A, B, C, D, E = map(event, range(1, 6))
IDENTITIES = (
    "SELECT cluster_id, state, born_job, born_at, last_seen_job, last_seen_at, successors, version"
    " FROM stage4.identities WHERE level = %s ORDER BY cluster_id"
)
LINEAGE = (
    "SELECT cluster_id, job_id, change, size, withdrawn FROM stage4.lineage"
    " WHERE level = 'events' ORDER BY as_of, cluster_id"
)


def first_run(folder: Path) -> Identified:
    """Three stories, all born."""
    members = {A: items((0, 6)), B: items((6, 12)), C: items((12, 16))}
    return Identified(folder, members=members, known=dict.fromkeys(members, BORN))


def second_run(first: Identified) -> Identified:
    """The second story has gone into the first, the third sleeps, another one is born."""
    known = {
        A: Identity("merged", version=2),
        B: Identity("absorbed", "merged", successors=(A,)),
        C: Identity("dormant", "dormant"),
        D: BORN,
    }
    return first.then({A: items((0, 12)), D: items((20, 24))}, **known)


def third_run(second: Identified) -> Identified:
    """The third story is back, the fourth has ended."""
    known = {C: Identity("returned"), D: Identity("ended", "ended", born=2)}
    return second.then({A: items((0, 12)), C: items((12, 16))}, **known)


def identities(results: Results, level: str = "events") -> list[tuple[Any, ...]]:
    return results.rows(IDENTITIES, level, user=results.loader)


def states(results: Results) -> dict[str, str]:
    return {row[0]: row[1] for row in identities(results)}


def lineage(results: Results) -> list[tuple[Any, ...]]:
    return results.rows(LINEAGE, user=results.loader)


def test_a_load_changes_no_identity_before_it_is_published(
    results: Results, tmp_path: Path
) -> None:
    first = first_run(tmp_path)
    load_id = first.load()
    assert (identities(results), lineage(results)) == ([], [])
    show("events", load_id)
    before = identities(results), lineage(results)
    job = "cluster_events.run__1"
    assert before[0] == [
        (name, "active", job, first.as_of, job, first.as_of, [], 1) for name in (A, B, C)
    ]
    assert [row[2] for row in before[1]] == ["born"] * 3
    second_run(first).load()
    assert (identities(results), lineage(results)) == before


def test_going_back_and_forward_again_restores_the_same(results: Results, tmp_path: Path) -> None:
    first = first_run(tmp_path)
    second = second_run(first)
    loads, seen, told = [], [], []
    for run in (first, second, third_run(second)):
        loads.append(run.release())
        seen.append(identities(results))
        told.append(lineage(results))
    assert states(results) == {A: "active", B: "merged", C: "active", D: "ended"}

    show("events", loads[0], "roll_back")
    assert identities(results)[:3] == seen[0]
    assert states(results)[D] == "ended", "an id that was published once never disappears"
    withdrawn = [row[-1] for row in lineage(results)]
    assert withdrawn == [False] * len(told[0]) + [True] * (len(told[2]) - len(told[0]))
    for load_id, expected, history in zip(loads[1:], seen[1:], told[1:], strict=True):
        show("events", load_id, "roll_back")
        assert identities(results) == expected
        assert [row for row in lineage(results) if not row[-1]] == history


def test_loading_and_publishing_a_run_again_changes_nothing(
    results: Results, tmp_path: Path
) -> None:
    first = first_run(tmp_path)
    second = second_run(first)
    first.release()
    second.release()
    before = identities(results), lineage(results)
    second.release()
    assert (identities(results), lineage(results)) == before
    first.load()  # an old run is cleared: `publish` refuses it as superseded
    assert (identities(results), lineage(results)) == before


def test_a_branch_ends_the_ids_of_the_other(results: Results, tmp_path: Path) -> None:
    first = first_run(tmp_path)
    start = first.release()
    second = second_run(first)
    left = second.release()
    show("events", start, "roll_back")
    known = {E: BORN, B: Identity("dormant", "dormant"), C: Identity("ended", "ended")}
    other = first.then({A: items((0, 6)), E: items((30, 36))}, **known)
    branch = replace(other, job_id="cluster_events.run__3", as_of=second.moment(3))
    branch.release()
    assert states(results) == {A: "active", B: "dormant", C: "ended", D: "ended", E: "active"}
    jobs = {row[1]: row[-1] for row in lineage(results)}
    assert [jobs[f"cluster_events.run__{number}"] for number in (1, 2, 3)] == [False, True, False]
    show("events", left, "roll_back")
    assert states(results) == {A: "active", B: "merged", C: "dormant", D: "active", E: "ended"}


def test_levels_and_runs_at_once_do_not_disturb_each_other(
    results: Results, tmp_path: Path
) -> None:
    """Real concurrency: two levels, and two publishers of one of them."""
    first = first_run(tmp_path)
    second = second_run(first)
    loads = [first.release(), second.release()]
    expected = identities(results)
    members = {
        f"document_{number:012x}": items((4 * number, 4 * number + 4)) for number in range(9)
    }
    documents = Identified(
        tmp_path,
        job_id="cluster_documents.run__1",
        level="documents",
        members=members,
        known=dict.fromkeys(members, BORN),
    )
    other = documents.release()
    before = identities(results, "documents")

    def toggle(turns: int) -> None:
        for turn in range(turns):
            show("events", loads[turn % 2], "roll_back")

    def publish_again(turns: int) -> None:
        for _ in range(turns):
            show("documents", other)
            assert identities(results, "documents") == before

    with ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(toggle, 20), pool.submit(toggle, 20), pool.submit(publish_again, 20)]
        for task in tasks:
            task.result()
    show("events", loads[1], "roll_back")
    assert identities(results) == expected
    assert identities(results, "documents") == before


def test_a_deletion_keeps_an_id_while_two_members_remain(results: Results, tmp_path: Path) -> None:
    first = first_run(tmp_path)
    second_run(first).load()
    first.release()
    for item, expected in ((12, "active"), (13, "active"), (14, "deleted")):
        delete(item)
        assert states(results)[C] == expected
    gone = "SELECT cluster_id FROM stage4.load_identities_2 WHERE state = 'deleted'"
    assert results.rows(gone, user=results.loader) == [(C,)]
    show("events", 2)
    assert states(results) == {A: "active", B: "active", C: "deleted"}


def delete(item: int) -> None:
    secret = "a secret of the tests"
    name = document(item)
    with database() as connection, connection.transaction():
        hide(connection, name, Tombstones(secret, frozenset({document_hash(secret, name)})))


def test_a_deletion_and_publications_at_once(results: Results, tmp_path: Path) -> None:
    """Neither waits for the other in a circle, and none of the ids comes back."""
    first = first_run(tmp_path)
    loads = [first.release(), second_run(first).release()]

    def toggle() -> None:
        for turn in range(20):
            show("events", loads[turn % 2], "roll_back")

    with ThreadPoolExecutor(2) as pool:
        moving = pool.submit(toggle)
        for item in (20, 21, 22, 0, 12, 13, 14):
            delete(item)
        moving.result()
    show("events", loads[1], "roll_back")
    assert states(results) == {A: "active", B: "merged", C: "dormant", D: "deleted"}
    show("events", loads[0], "roll_back")
    assert states(results) == {A: "active", B: "active", C: "deleted", D: "deleted"}


def test_what_a_publication_changed_is_counted(results: Results, tmp_path: Path) -> None:
    first = first_run(tmp_path)
    second = second_run(first)
    third = replace(third_run(second), labels={A: "another label"})
    loads = [run.release() for run in (first, second, third)]
    assert counted(1) is None
    assert counted(2) == (loads[0], loads[1], {"changed": 1, "born": 1, "merged": 1, "dormant": 1})
    assert counted(3) == (loads[1], loads[2], {"relabelled": 1, "returned": 1, "ended": 1})
    back = show("events", loads[0], "roll_back")
    expected = {"changed": 1, "unchanged": 1, "returned": 1}
    assert counted(back) == (loads[2], loads[0], expected)


def counted(publication: int) -> tuple[int, int, dict[str, int]] | None:
    with locked_pointer("events") as pointer:
        found = pointer.changes(publication)
    if found is None:
        return None
    assert set(found.counts) == set(ID_CHANGES)
    counts = {str(word): count for word, count in found.counts.items() if count}
    return found.base_load_id, found.load_id, counts


@pytest.mark.parametrize("table", ["load_identities", "load_lineage"])
def test_a_cluster_that_identify_does_not_know_is_refused(
    results: Results, tmp_path: Path, table: str
) -> None:
    label = first_run(tmp_path).write()
    path = Path(label["files"][f"{table.removeprefix('load_')}_csv"])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(AirflowFailException, match=f"{C}.*clear `identify`"):
        load_run(label["files"], report_of(label))
    path.unlink()
    with pytest.raises(AirflowFailException, match="is gone: clear `identify`"):
        load_run(label["files"], report_of(label))
    assert results.tables() == set()


def test_a_removed_run_leaves_the_events_of_its_ids(
    results: Results, tmp_path: Path, workspace: Path
) -> None:
    first = first_run(tmp_path)
    second = second_run(first)
    third = third_run(second)
    for run in (first, second, third, third.then(third.members)):
        run.release()
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("UPDATE stage4.runs SET loaded_at = now() - interval '10 days'")
    before, told = identities(results), lineage(results)
    assert prune("events", 1)["removed_runs"] == 2
    assert identities(results) == before
    assert lineage(results) == [row for row in told if row[2] != "continued"]
    names = {name for name in results.tables() if name.startswith("load_")}
    assert names == {f"load_{kind}_{load}" for kind in ("identities", "lineage") for load in (3, 4)}


def test_runs_of_an_earlier_version_are_adopted(results: Results, tmp_path: Path) -> None:
    made = Label(tmp_path, clusters=2)
    with database() as connection:
        migrate(connection, "0007")
        migrate(connection, "0006")
        for label in (made, made.later(clusters=3)):
            former_loads.publish(
                connection, former_loads.load(connection, label.write()["files"]), "events"
            )
        former_loads.publish(connection, 1, "events")
        migrate(connection)
    ids = [event(number) for number in range(3)]
    assert states(results) == dict(zip(ids, ("active", "active", "ended"), strict=True))
    show("events", 2)
    assert states(results) == dict.fromkeys(ids, "active")
    before = identities(results)
    show("events", 1, "roll_back")
    assert [row[1] for row in identities(results)] == ["active", "active", "ended"]
    show("events", 2)
    assert identities(results) == before
