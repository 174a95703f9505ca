"""A level under a hundred thousand seeded schedules, and what each guard in it is good for."""

from typing import Any

import pytest

from tests.unit.core import level
from tests.unit.core.campaign import perform_all
from tests.unit.core.level import Candidate

SHARES, SCHEDULES = 4, 25_000  # the shares are tests of their own: the suite has several processes
ENOUGH = 4_000


@pytest.mark.no_cover  # measured lines take three times as long
@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_lost_in_any_schedule(share: int) -> None:
    done = perform_all(range(share * SCHEDULES, (share + 1) * SCHEDULES))
    assert done["schedules"] == SCHEDULES
    assert done["killed"] > SCHEDULES / 2
    assert min(done[name] for name in ("cancel", "clear", "roll back", "again")) > 1000


def nothing(*_: Any) -> None:
    """Do not do it."""


def never(*_: Any) -> bool:
    return False


def always(*_: Any) -> bool:
    return True


@pytest.mark.parametrize(
    "missing",
    [
        [(Candidate, "refuse_canceled", nothing)],
        [(Candidate, "is_superseded", never), (Candidate, "files_are_later", never)],
        [(Candidate, "goes_on_from_the_published", always)],
        [(Candidate, "write_completion", nothing)],
        [(level, "put_back", nothing)],
    ],
    ids=lambda missing: missing[0][1],
)
def test_without_a_guard_some_schedule_fails(
    missing: list[tuple[Any, str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for target, name, instead in missing:
        monkeypatch.setattr(target, name, instead)
    with pytest.raises(AssertionError, match="seed"):
        perform_all(range(ENOUGH), acts=24)
