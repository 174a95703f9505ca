"""Which run an event of Stage 3 belongs to; nothing here reads a clock or a database.

A run stores that it begins before it reads Stage 3's files. So a run that has not stored that is
for every event that is known by now, and another run is needed only for events that come later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stage4.job_ids import STAGE3_PREFIX

# Of a requested run in Airflow: it is not made yet, or deleted; it will read Stage 3's files; it
# has ended without having begun to, for example because somebody has canceled it.
Progress = Literal["absent", "coming", "ended"]


@dataclass(frozen=True)
class Waiting:
    """An event that no run is for yet.

    Attributes:
        number: of its row.
        embeddings: that it announces; None: it does not say.
    """

    number: int
    embeddings: int | None


@dataclass(frozen=True)
class Requested:
    """The run of a level that was asked for and has not stored that it begins."""

    run_id: str
    progress: Progress


@dataclass(frozen=True)
class Decision:
    """What is to be done for a level.

    Attributes:
        run_id: of the run that all waiting events are for; None: they go on waiting.
        is_new: whether that run is asked for only now.
        closed: the requested run that takes no more events; None: there is none.
        start: the run that Airflow has to be asked to make; None: nothing is to be made.
    """

    run_id: str | None = None
    is_new: bool = False
    closed: str | None = None
    start: str | None = None


def decide(
    waiting: Sequence[Waiting], requested: Requested | None, min_embeddings: int
) -> Decision:
    """Decide for a level.

    Args:
        waiting: its events without a run.
        requested: its run that has not begun; None: there is none.
        min_embeddings: fewest announced embeddings that are worth a run.
    """
    if requested is not None and requested.progress != "ended":
        return Decision(
            run_id=requested.run_id if waiting else None,
            start=requested.run_id if requested.progress == "absent" else None,
        )
    closed = None if requested is None else requested.run_id
    if not _enough(waiting, min_embeddings):
        return Decision(closed=closed)
    run_id = f"{STAGE3_PREFIX}{max(each.number for each in waiting)}"
    return Decision(run_id=run_id, is_new=True, closed=closed, start=run_id)


def _enough(waiting: Sequence[Waiting], min_embeddings: int) -> bool:
    numbers = [each.embeddings for each in waiting]
    return None in numbers or sum(number or 0 for number in numbers) >= min_embeddings
