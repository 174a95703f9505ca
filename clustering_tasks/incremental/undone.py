"""Corrections that the run before has applied and that hold no more."""

from clustering_tasks.corrections.correction import LINKS, Correction
from clustering_tasks.corrections.frozen import read_frozen
from clustering_tasks.workspace.artefacts import Run, load_run

_NAMED = 10


def undone_links(run: Run, job_id: str) -> str | None:
    """Name the links that were undone or erased: old memberships would keep them; None: none.

    Args:
        run: with its corrections.
        job_id: of the run before it.

    Raises:
        BadInputError: the corrections of the run before are gone or damaged.
    """
    before = load_run(run.workspace, run.level, job_id)
    was, now = (
        read_frozen(each.workspace, each.level.name, each.corrections) for each in (before, run)
    )
    kept = {_link(each) for each in now}
    gone = [each for each in was if each.kind in LINKS and _link(each) not in kept]
    if not gone:
        return None
    named = ", ".join(f"{each.kind} {each.correction_id}" for each in gone[:_NAMED])
    return named + (f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else "")


def _link(correction: Correction) -> tuple[str, frozenset[str], frozenset[str]]:
    return correction.kind, frozenset(correction.items), frozenset(correction.others)
