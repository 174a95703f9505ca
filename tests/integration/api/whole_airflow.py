"""Airflow's whole API server in this process, with our plugin and DAGs; runs have no worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag import DagModel  # noqa: TID251
from airflow.models.dagbundle import DagBundleModel  # noqa: TID251
from airflow.models.dagrun import DagRun  # noqa: TID251
from airflow.models.taskinstance import TaskInstance  # noqa: TID251
from airflow.models.taskmap import TaskMap  # noqa: TID251
from airflow.utils.session import create_session
from sqlalchemy import insert, select, update
from starlette.routing import Mount
from starlette.testclient import TestClient

from stage4_plugin import URL_PREFIX, Stage4Plugin

REPO = Path(__file__).parents[3]
Json = dict[str, Any]


@contextmanager
def whole_airflow() -> Iterator[TestClient]:
    """Serve Airflow's API with Stage 4's behind its middleware, as its API server does."""
    from airflow.api_fastapi.app import create_app

    from stage4.api.app import build

    enter_dags()
    app, inner = create_app("core"), build()
    app.router.routes.insert(0, Mount(URL_PREFIX, inner))  # Airflow's last route catches all
    for each in Stage4Plugin().fastapi_root_middlewares:
        app.add_middleware(each["middleware"])
    with (
        TestClient(inner),  # its own lifespan, which a mount has not
        TestClient(app, base_url="http://stage4.test", raise_server_exceptions=False) as client,
    ):
        yield client
    with create_session() as session:
        for table in (TaskMap, DagRun, DagModel):
            session.query(table).delete()


def enter_dags() -> None:
    """Enter our DAGs as a DAG processor does; none is paused."""
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
        session.flush()
        sync_bag_to_db(DagBag(str(REPO / "dags")), "tests", None, session=session)
        session.execute(update(DagModel).values(is_paused=False, bundle_name="tests"))


def set_states(dag: str, run_id: str, states: dict[str, str | None], others: str | None) -> None:
    """Give the tasks of a run states, as if workers had run them; `others`: of all the rest."""
    of_run = (TaskInstance.dag_id == dag, TaskInstance.run_id == run_id)
    with create_session() as session:
        session.execute(update(TaskInstance).where(*of_run).values(state=others, try_number=1))
        for task, state in states.items():
            of_task = (*of_run, TaskInstance.task_id == task)
            session.execute(update(TaskInstance).where(*of_task).values(state=state))


def expand_parts(dag: str, run_id: str, *states: str | None) -> None:
    """Cut `cluster` into parts with these states, as the scheduler does when `plan` has ended."""
    of_run: Json = {"dag_id": dag, "run_id": run_id}
    with create_session() as session:
        row = session.scalars(
            select(TaskInstance).filter_by(**of_run, task_id="cluster", map_index=-1)
        ).one()
        version, tries = row.dag_version_id, row.max_tries
        session.delete(row)
        session.flush()
        for index, state in enumerate(states):
            session.execute(
                insert(TaskInstance).values(
                    **of_run,
                    task_id="cluster",
                    map_index=index,
                    state=state,
                    pool="p",
                    try_number=1,
                    max_tries=tries,
                    dag_version_id=version,
                )
            )
        values = of_run | {"task_id": "plan", "map_index": -1, "length": len(states)}
        session.execute(insert(TaskMap).values(**values, keys=None))


def end_run(dag: str, run_id: str, state: str, minutes: float | None = None) -> None:
    """Let a run have a state, as the scheduler gives it, and have taken a time."""
    values: Json = {"state": state}
    if minutes is not None:
        end = datetime.now(UTC)
        values |= {"start_date": end - timedelta(minutes=minutes), "end_date": end}
    with create_session() as session:
        session.execute(
            update(DagRun).where(DagRun.dag_id == dag, DagRun.run_id == run_id).values(**values)
        )


def states_of(dag: str, run_id: str) -> dict[str, str | None]:
    """The states of a run's task instances: `task` or `task[map index]`."""
    columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
    with create_session() as session:
        rows = session.execute(select(*columns).filter_by(dag_id=dag, run_id=run_id)).all()
    return {
        task if index < 0 else f"{task}[{index}]": state and str(state)
        for task, index, state in rows
    }
