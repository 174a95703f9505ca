"""Rounds of the garbage collector."""

import gc

import pytest

from clustering_tasks.engine.garbage import seldom_collected
from clustering_tasks.engine.processes import work_processes


def rounds_of(objects: int) -> int:
    before = _rounds()
    assert len([[] for _ in range(objects)]) == objects
    return _rounds() - before


def _rounds() -> int:
    rounds: list[int] = [each["collections"] for each in gc.get_stats()]
    return sum(rounds)


def test_there_are_few_rounds_within_and_as_many_as_before_behind() -> None:
    usual = gc.get_threshold()
    with seldom_collected():
        assert rounds_of(100_000) == 0
    assert gc.get_threshold() == usual
    with pytest.raises(KeyError), seldom_collected():
        raise KeyError
    assert gc.get_threshold() == usual
    assert rounds_of(100_000) > 0


def test_processes_that_work_for_others_collect_seldom() -> None:
    with work_processes(2) as each:
        assert list(each(rounds_of, [100_000] * 2)) == [0, 0]
