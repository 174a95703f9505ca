"""A document deleted through the scheduler, by steps that are processes."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Airflow
from tests.e2e.deleting import is_deleted, stays_deleted, with_withdrawn

pytestmark = pytest.mark.airflow


def test_a_document_is_hidden_at_once_then_gone_and_stays_so(
    airflow: Airflow, sample: Path, tmp_path: Path
) -> None:
    with airflow.reading(with_withdrawn(sample, tmp_path / "stage3")):
        run = airflow.run_dag("cluster_events")
        assert run["state"] == "success", airflow.explain(run)
        is_deleted(airflow)
        stays_deleted(airflow)
