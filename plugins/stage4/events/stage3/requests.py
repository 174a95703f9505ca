"""From events to runs: the decision of `stage4.events.stage3.decision`, carried out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.utils.state import State

from stage4.database import stage3_events
from stage4.events.stage3.decision import Decision, Progress, Requested, Waiting, decide
from stage4.job_ids import dag_of

if TYPE_CHECKING:
    from stage4.database.connection import Database

# Airflow's state of a run of a DAG by its id; None: there is no such run.
StateOf = Callable[[str, str], str | None]


def request_run(
    connection: "Database", level: str, state_of: StateOf, min_embeddings: int
) -> Decision:
    """Decide for a level, and store what was decided, in one transaction.

    Args:
        connection: to the results database.
        level: plural name.
        state_of: asks Airflow; it is called while other decisions wait.
        min_embeddings: fewest announced embeddings that are worth a run.

    Returns:
        What was decided: the caller makes the run `start`, which may exist by then.

    Raises:
        psycopg.Error: nothing was decided.
    """
    with connection.transaction():
        stage3_events.lock(connection)
        waiting = [Waiting(*row) for row in stage3_events.waiting(connection, level)]
        open_run = stage3_events.requested(connection, level)
        requested = None if open_run is None else _requested(level, open_run, state_of)
        decision = decide(waiting, requested, min_embeddings)
        if decision.closed is not None:
            stage3_events.mark_begun(connection, level, decision.closed)
        if decision.run_id is not None:
            if decision.is_new:
                stage3_events.request(connection, level, decision.run_id)
            stage3_events.assign(connection, [each.number for each in waiting], decision.run_id)
    return decision


def _requested(level: str, run_id: str, state_of: StateOf) -> Requested:
    return Requested(run_id, progress_of(state_of(dag_of(level), run_id)))


def progress_of(state: str | None) -> Progress:
    """Tell how far a run that has not begun to read is, by Airflow's state of it."""
    if state is None:
        return "absent"
    return "ended" if state in State.finished_dr_states else "coming"
