"""What can be done with jobs: Airflow's own acts, and the pause that Airflow has not.

Every act on a run goes through Airflow's REST API with the user's own token or cookie, so Airflow
checks the user's rights, tells its listeners and writes its audit log. A job of all levels takes
the jobs of its levels along.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from airflow.models.dagrun import DagRun  # noqa: TID251 - the API server has Airflow's database
from airflow.utils.session import create_session
from airflow.utils.state import State
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from stage4.api.airflow_app import AirflowApp, Answer
from stage4.api.airflow_jobs import state_of_run
from stage4.api.job_notes import note_creation, note_pauses
from stage4.api.job_retry import tasks_to_clear
from stage4.api.pool import connected
from stage4.api.problems import ProblemError
from stage4.database import job_controls
from stage4.database.connection import Database
from stage4.job_ids import ALL_LEVELS_DAG, CLUSTERING_DAGS, level_runs

Json = dict[str, Any]
Decision = Callable[[Database, str, str, str], None]


@dataclass(frozen=True)
class Run:
    """A job, by its run in Airflow."""

    dag: str
    run_id: str

    @property
    def path(self) -> str:
        """Of the run in Airflow's REST API."""
        return f"/dags/{self.dag}/dagRuns/{self.run_id}"


class Actor:
    """A user who acts on jobs."""

    def __init__(self, airflow: AirflowApp, name: str) -> None:
        """Let a user act.

        Args:
            airflow: to ask in the user's name.
            name: for the record of the decision.
        """
        self._airflow = airflow
        self._name = name

    async def submit(self, dag: str, conf: Json, key: str | None) -> tuple[Run, bool]:
        """Start a run; with a key that was submitted before, name the run of that time.

        Returns:
            The run, and whether it was started now.

        Raises:
            ProblemError: 409: the key was submitted with something else; or Airflow's refusal.
        """
        run_id = None if key is None else _run_id(key)
        if run_id is not None and await run_in_threadpool(_is_known, dag, run_id, conf):
            return Run(dag, run_id), False
        body: Json = {"logical_date": None, "conf": conf}
        body |= {} if run_id is None else {"dag_run_id": run_id}
        answer = await self._airflow.call("POST", f"/dags/{dag}/dagRuns", body)
        if answer.status == HTTPStatus.CONFLICT and run_id is not None:  # at the same moment
            await run_in_threadpool(_is_known, dag, run_id, conf)
            return Run(dag, run_id), False
        started = _accepted(answer)["dag_run_id"]
        await run_in_threadpool(note_creation, dag, started, conf)
        return Run(dag, started), True

    async def pause(self, run: Run, *, now: bool) -> None:
        """Let no further task of a job start; `now` ends running ones, which keep what they can."""
        runs = await self._set_pause(job_controls.pause, run)
        if not now:
            return
        for each in runs:
            if each.dag == ALL_LEVELS_DAG:  # its tasks only wait for the levels
                continue
            body = {"dag_run_id": each.run_id, "only_running": True, "reset_dag_runs": False}
            body |= {"only_failed": False, "dry_run": False}
            _accepted(await self._airflow.call("POST", _clearing(each), body))

    async def resume(self, run: Run) -> None:
        """Let a job's tasks start again."""
        await self._set_pause(job_controls.resume, run)

    async def cancel(self, run: Run) -> None:
        """End a job for good: its running tasks are ended, and nothing of it is published."""
        runs = [run, *await run_in_threadpool(_unfinished_levels, run)]
        await self._decide(job_controls.cancel, runs)
        for each in runs:
            answer = await self._airflow.call("PATCH", each.path, {"state": "failed"})
            if not answer.ok:
                await self._decide(job_controls.take_cancel_back, runs)
                raise _refusal(answer)

    async def retry(self, run: Run, begin: str | None = None) -> None:
        """Run tasks of a job again, and all that follow them.

        Args:
            run: of the job.
            begin: the first task; None: see `tasks_to_clear`.

        Raises:
            ProblemError: 409: the job cannot begin there, or is being retried.
        """
        tasks = await run_in_threadpool(tasks_to_clear, run.dag, run.run_id, begin)
        body = {"dag_run_id": run.run_id, "task_ids": tasks, "only_failed": False}
        # Another retry, a moment before, may have started them.
        body |= {"include_downstream": True, "dry_run": False, "prevent_running_task": True}
        answer = await self._airflow.call("POST", _clearing(run), body)
        if not answer.ok and (
            answer.status == HTTPStatus.CONFLICT
            or await run_in_threadpool(state_of_run, run.dag, run.run_id)
            in State.unfinished_dr_states
        ):
            raise ProblemError(
                HTTPStatus.CONFLICT, "The job is at work again: somebody else has retried it."
            )
        _accepted(answer)

    async def _set_pause(self, decision: Decision, run: Run) -> list[Run]:
        """Pause or resume a job; returns its run and those that it takes along."""
        runs = [run, *await run_in_threadpool(_unfinished_levels, run)]

        def act(connection: Database) -> None:
            with connection.transaction():
                decision(connection, run.dag, run.run_id, self._name)
                note_pauses(connection, [(each.dag, each.run_id) for each in runs])

        await run_in_threadpool(connected, act)
        return runs

    async def _decide(self, decision: Decision, runs: Sequence[Run]) -> None:
        await run_in_threadpool(connected, lambda to: self._write(to, decision, runs))

    def _write(self, connection: Database, decision: Decision, runs: Sequence[Run]) -> None:
        with connection.transaction():
            for each in runs:
                decision(connection, each.dag, each.run_id, self._name)


def _run_id(key: str) -> str:
    """Name the run of a key: Airflow itself refuses a second run of one id."""
    return f"submitted__{sha256(key.encode()).hexdigest()[:24]}"


def _is_known(dag: str, run_id: str, conf: Json) -> bool:
    """Tell whether a key's run exists.

    Raises:
        ProblemError: 409: it is of another level, or has other settings.
    """
    with create_session(scoped=False) as session:
        found = session.execute(
            select(DagRun.dag_id, DagRun.conf).where(
                DagRun.run_id == run_id,
                DagRun.dag_id.in_(CLUSTERING_DAGS),
            )
        ).all()
    if any(row.dag_id != dag or (row.conf or {}) != conf for row in found):
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "The idempotency key was submitted with another level or other settings: take a new "
            "key for a new job.",
        )
    return bool(found)


def _unfinished_levels(run: Run) -> list[Run]:
    """Name the runs that a run of all levels has started and that have not ended."""
    if run.dag != ALL_LEVELS_DAG:
        return []
    started = dict(level_runs(run.run_id))
    with create_session(scoped=False) as session:
        rows = session.execute(
            select(DagRun.dag_id, DagRun.run_id).where(
                DagRun.run_id.in_(started.values()),
                DagRun.state.in_(State.unfinished_dr_states),
            )
        ).all()
    return [Run(*row) for row in rows if started.get(row.dag_id) == row.run_id]


def _clearing(run: Run) -> str:
    return f"/dags/{run.dag}/clearTaskInstances"


def _accepted(answer: Answer) -> Json:
    if not answer.ok:
        raise _refusal(answer)
    found: Json = answer.json()
    return found


def _refusal(answer: Answer) -> ProblemError:
    """Pass on why Airflow does not do it; of a server's error its words are not for the caller."""
    found = answer.json()
    detail = found.get("detail") if isinstance(found, dict) else None
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProblemError(
            HTTPStatus.BAD_GATEWAY, "Airflow failed: its API server's log has more."
        )
    # A conf that the DAG's params refuse: the request could be read, but is not valid.
    status = answer.status if answer.status != HTTPStatus.BAD_REQUEST else 422
    return ProblemError(status, detail if isinstance(detail, str) else "Airflow refuses it.")
