"""A document deleted through the scheduler, by steps that are processes."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Airflow
from tests.e2e.deleting import goes_and_stays_gone, with_withdrawn

pytestmark = pytest.mark.airflow


def test_a_document_is_hidden_at_once_then_gone_and_stays_so(
    airflow: Airflow, sample: Path, tmp_path: Path
) -> None:
    goes_and_stays_gone(airflow, with_withdrawn(sample, tmp_path / "stage3"))
