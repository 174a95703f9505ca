"""What holds whenever a process may have ended, and what holds in the end."""

from tests.unit.core.level import Level, Receiver
from tests.unit.core.world import Rows


def check(level: Level) -> None:
    """What holds after each act, done or cut off."""
    _one_published_run(level)
    _nothing_canceled_is_published(level)
    _ids_go_on(level)
    _events_are_the_rows(level)
    arrivals_are_in_order(level.world.rows, level.receiver)


def check_end(level: Level) -> None:
    """What holds behind the last act, when everything has come to its end."""
    check(level)
    world, rows = level.world, level.world.rows
    shown = rows.shown()
    # A first publication that was cut off for good leaves files: there are none to go back to.
    if shown is not None and world.shown_files is not None:
        registry = world.registries[world.shown_files]
        assert registry.base.job_id == shown.job, "readers of rows and of files"
        assert world.jsonl[shown.job].ids == shown.ids, "ids in the rows and in the JSONL"
        assert registry.ids.items() >= shown.ids.items(), "ids in the rows and in the registry"
    for run in level.runs:
        assert run.state in ("success", "failed")
        assert run.state == "success" or run.job in level.canceled_at
        job = rows.jobs.get(run.job)
        assert job is None or job.ended_at is not None
    assert {each.state for each in rows.deliveries} <= {"delivered", "given_up"}
    taken = {event for *_, event in level.receiver.taken}
    for each in rows.deliveries:
        assert each.due.event_id in taken or each.due.refusals >= 8


def _one_published_run(level: Level) -> None:
    rows = level.world.rows
    if rows.pointer is None:
        assert not rows.publications
        return
    last = rows.publications[-1]
    assert last.load.load_id == rows.pointer
    assert rows.loads[rows.pointer] == last.load
    for before, after in zip(rows.publications, rows.publications[1:], strict=False):
        assert after.base == before.load
        assert after.act == "roll_back" or after.load.as_of >= before.load.as_of


def _nothing_canceled_is_published(level: Level) -> None:
    world = level.world
    for row in world.rows.controls.values():
        if row.canceled:
            level.canceled_at.setdefault(row.job_id, world.commits)
    for each in world.rows.publications:
        canceled = level.canceled_at.get(each.load.job)
        assert each.act == "roll_back" or canceled is None or each.at < canceled


def _ids_go_on(level: Level) -> None:
    for each in level.world.rows.publications:
        ids = each.load.ids
        assert len(set(ids.values())) == len(ids)
        if each.act == "publish" and each.base is not None:
            former = each.base.ids
            assert all(former[story] == ids[story] for story in former.keys() & ids.keys())


def _events_are_the_rows(level: Level) -> None:
    rows = level.world.rows
    seen: dict[str, int] = {}
    for each in rows.deliveries:
        due = each.due
        seen[due.job_id] = seen.get(due.job_id, 0) + 1
        assert due.sequence == seen[due.job_id]
    changes = sum(each.due.type == "clustering.clusters.changed" for each in rows.deliveries)
    assert changes == len(rows.publications)
    completed = {key for _, key in rows.keys}
    published = {f"{each.number}" for each in rows.publications if each.act == "publish"}
    assert published <= completed


def arrivals_are_in_order(rows: Rows, receiver: Receiver) -> None:
    """A job's events have come first in their order, but for what was given up."""
    firsts: dict[str, list[int]] = {}
    for job, sequence, _ in dict.fromkeys(receiver.taken):
        firsts.setdefault(job, []).append(sequence)
    given_up = {
        (each.due.job_id, each.due.sequence) for each in rows.deliveries if each.state == "given_up"
    }
    for job, sequences in firsts.items():
        assert sequences == sorted(set(sequences))
        missing = set(range(1, sequences[-1] + 1)) - set(sequences)
        assert all((job, each) in given_up for each in missing)
