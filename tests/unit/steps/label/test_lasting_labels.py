"""A label stays while its cluster hardly changes, and a member has it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.contract.record import Record
from clustering_tasks.errors import BadInputError
from clustering_tasks.steps.label.lasting_labels import LABELS, FormerLabels, LastingLabels

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
TODAY = datetime(2026, 1, 9, tzinfo=UTC)
NAME = "event_000000000000"
TITLES = ["Flood in Kenya", None, "Rivers rise", "Rivers rise"]


def made(label: str, kind: str = "event") -> Record:
    record: Any = {"cluster_id": NAME, "cluster_type": kind, "cluster_label": label}
    record |= {"labelled_at": TODAY, "canonical_entity": label}
    return record  # type: ignore[no-any-return]


def lasting(label: str, drift: float = 0.0) -> LastingLabels:
    row = {"cluster_id": NAME, "label": label, "labelled_at": FIRST, "drift": drift}
    return LastingLabels(TODAY, {NAME: row})


def test_little_change_keeps_the_label() -> None:
    labels = lasting("Flood in Kenya")
    record = labels.on(made("Rivers rise"), 0.09, TITLES)
    assert (record["cluster_label"], record["labelled_at"]) == ("Flood in Kenya", FIRST)
    assert labels.rows[0]["drift"] == 0.09


@pytest.mark.parametrize(
    ("label", "drift", "changed"),
    [
        ("Flood in Kenya", 0.0, 0.1),
        ("Flood in Kenya", 0.45, 0.05),
        ("Flood in Kenya", 0.0, None),
        ("Of a document that is gone", 0.0, 0.01),
    ],
)
def test_what_has_changed_is_called_anew(label: str, drift: float, changed: float | None) -> None:
    labels = lasting(label, drift)
    record = labels.on(made("Rivers rise"), changed, TITLES)
    assert (record["cluster_label"], record["labelled_at"]) == ("Rivers rise", TODAY)
    assert labels.rows[0]["drift"] == 0


def test_a_label_that_is_the_best_again_is_as_old_as_it_is() -> None:
    labels = lasting("Flood in Kenya", drift=0.4)
    record = labels.on(made("Flood in Kenya"), 0.8, TITLES)
    assert record["labelled_at"] == FIRST
    assert labels.rows[0]["drift"] == 0


def test_an_entity_keeps_its_name_with_its_label() -> None:
    record = lasting("Flood in Kenya").on(made("Rivers rise", "entity"), 0.05, TITLES)
    assert record["cluster_type"] == "entity"
    assert record["canonical_entity"] == "Flood in Kenya"


def test_a_run_without_clusters_leaves_a_file(tmp_path: Path) -> None:
    LastingLabels(TODAY, {}).write(UPath(tmp_path / "labels.parquet"))
    assert pq.read_schema(tmp_path / "labels.parquet").equals(LABELS)


def test_a_damaged_file_of_labels_is_named(tmp_path: Path) -> None:
    path = UPath(tmp_path / "labels-job-0.parquet")
    with pytest.raises(BadInputError, match=r"labels-job-0\.parquet is damaged.*or remove it"):
        FormerLabels(b"PAR1", path).read(datetime(2026, 3, 1, tzinfo=UTC))
