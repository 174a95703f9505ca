"""DAGs in Airflow's own database, as its DAG processor enters them."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.asset import AssetDagRunQueue, AssetEvent  # noqa: TID251 - as below
from airflow.models.dag import DagModel  # noqa: TID251 - Airflow's own database is the test's
from airflow.models.dagbundle import DagBundleModel  # noqa: TID251 - as above
from airflow.models.dagrun import DagRun  # noqa: TID251 - as above
from airflow.sdk import DAG
from airflow.utils.session import create_session


@contextmanager
def synced(folder: Path) -> Iterator[DagBag]:
    """Enter the DAGs of a folder; they and their runs are removed at the end."""
    bag = DagBag(str(folder))
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
        session.flush()
        sync_bag_to_db(bag, "tests", None, session=session)
    yield bag
    with create_session() as session:
        for table in (AssetEvent, AssetDagRunQueue, DagRun, DagModel):
            session.query(table).delete()


def run_here(dag: DAG, conf: dict[str, Any]) -> Any:
    """Run a DAG in this process, and leave it as it was.

    A task writes the run's conf into the params of its DAG: elsewhere it is a process of its own.
    """
    before = deepcopy(dag.params)
    try:
        return dag.test(run_conf=conf)
    finally:
        dag.params = before
