"""A label stays while its cluster hardly changes, and a member has it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.language.entity_names import Entity
from clustering_tasks.steps.label.free_labels import FreeLabels
from clustering_tasks.steps.label.lasting_labels import LABELS, FormerLabels, Label, LastingLabels
from clustering_tasks.steps.label.members import Columns
from clustering_tasks.steps.label.naming import Proposal

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
TODAY = datetime(2026, 1, 9, tzinfo=UTC)
NAME = "event_000000000000"
TITLES = ["Flood in Kenya", None, "Rivers rise", "Rivers rise"]


def made(changed: float | None) -> dict[str, Any]:
    return {"cluster_id": NAME, "changed": changed}


def proposal(*ranked: str, entity: Entity | None = None) -> Proposal:
    return Proposal(list(ranked), ["Nairobi"], [], entity)


def members(*titles: str | None) -> Columns:
    texts = np.array(titles or TITLES, dtype=object)
    days = np.full(len(texts), np.datetime64("2026-01-01", "us"))
    return {"title": texts, "sentence": np.full(len(texts), None), "start_time": days}


def lasting(label: str, drift: float = 0.0) -> LastingLabels:
    row = {"cluster_id": NAME, "label": label, "labelled_at": FIRST, "drift": drift}
    return LastingLabels(TODAY, {NAME: row})


def test_little_change_keeps_the_label() -> None:
    labels = lasting("Flood in Kenya")
    label = labels.on(made(0.09), "Rivers rise", proposal("Rivers rise"), members(), FreeLabels())
    assert label == Label("Flood in Kenya", FIRST)
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
    found = labels.on(
        made(changed), "Rivers rise", proposal("Rivers rise"), members(), FreeLabels()
    )
    assert found == Label("Rivers rise", TODAY)
    assert labels.rows[0]["drift"] == 0


def test_a_label_that_is_the_best_again_is_as_old_as_it_is() -> None:
    labels = lasting("Flood in Kenya", drift=0.4)
    found = labels.on(
        made(0.8), "Flood in Kenya", proposal("Flood in Kenya"), members(), FreeLabels()
    )
    assert found.made == FIRST
    assert labels.rows[0]["drift"] == 0


@pytest.mark.parametrize(
    ("label", "stays"),
    [
        ("Flood in Kenya", True),
        ("Flood in Kenya (2026-01-01)", True),
        ("Flood in Kenya (2)", True),
        ("Flood in Kenya (of a document that is gone)", False),
        ("The flood has left Kenya's north", True),  # without an apposition
        ("Kenya's north has left the flood", False),
        ("Rivers: Kenya", True),  # a candidate of today, whatever the texts say
        ("Flood in Ken\u2026", False),
    ],
)
def test_a_label_stays_if_members_give_it(label: str, stays: bool) -> None:
    titles = ["Flood in Kenya", "``The flood'', the worst of all, has left Kenya' s north"]
    found = lasting(label).on(
        made(0.05),
        "Rivers rise",
        proposal("Rivers rise", "Rivers: Kenya"),
        members(*titles),
        FreeLabels(),
    )
    assert found.text == (label if stays else "Rivers rise")


@pytest.mark.parametrize(
    ("label", "text", "name"),
    [
        ("A. Merkel", "A. Merkel", "A. Merkel"),
        ("A. Merkel (Nairobi)", "A. Merkel (Nairobi)", "A. Merkel"),
        ("the chancellor", "Angela Merkel", None),  # a noun, where there is a name
    ],
)
def test_an_entity_keeps_its_name_with_its_label(label: str, text: str, name: str | None) -> None:
    counts = {"Angela Merkel": 2, "A. Merkel": 1, "the chancellor": 3}
    entity = Entity("Angela Merkel", "name", counts, ["Angela Merkel", "A. Merkel"])
    found = lasting(label).on(
        made(0.05),
        "Angela Merkel",
        proposal("Angela Merkel", entity=entity),
        members(*counts),
        FreeLabels(),
    )
    assert (found.text, found.name) == (text, name)


def test_a_label_that_stays_is_taken_before_new_ones_are_chosen() -> None:
    labels = lasting("Flood in Kenya")
    free = FreeLabels.without([labels.may_stay([made(0.05)])])
    new = free.best("event_111111111111", ["Flood in Kenya"], ["Tana"], members())
    assert new == "Flood in Kenya (Tana)"
    assert free.best("event_111111111111", ["Flood in Kenya"], [], members()).endswith("-01)")
    label = labels.on(made(0.05), "Rivers rise", proposal("Rivers rise"), members(), free)
    assert label.text == "Flood in Kenya"
    assert labels.may_stay([made(0.1)]) == {}


def test_a_name_that_people_gave_to_another_cluster_is_not_kept() -> None:
    labels = lasting("Flood in Kenya")
    given = {"event_111111111111": "Flood in Kenya"}
    free = FreeLabels.without([given, labels.may_stay([made(0.05)])])
    best = free.best(NAME, ["Flood in Kenya"], ["Tana"], members())
    label = labels.on(made(0.05), best, proposal("Flood in Kenya"), members(), free)
    assert label == Label("Flood in Kenya (Tana)", TODAY)


@pytest.mark.parametrize(
    ("label", "changed", "source"),
    [
        ("Waters rise in Kenya", 0.05, "llm"),
        ("Waters rise in Kenya", 0.2, "local"),
        ("Waters rise in Uganda", 0.05, "local"),
    ],
)
def test_a_models_label_stays_while_texts_have_its_names(
    label: str, changed: float, source: str
) -> None:
    labels = lasting(label)
    labels.before[NAME]["source"] = "llm"
    titles = ("Flood in Kenya", "Rivers and waters rise")
    best = "Rivers and waters rise"
    found = labels.on(made(changed), best, proposal(best), members(*titles), FreeLabels())
    assert (found.text, found.source) == (label if source == "llm" else best, source)
    assert labels.rows[0]["source"] == source


def test_labels_of_an_earlier_version_are_local(tmp_path: Path) -> None:
    path = UPath(tmp_path / "labels.parquet")
    row = {"cluster_id": NAME, "label": "Flood in Kenya", "labelled_at": FIRST, "drift": 0.0}
    before = pa.Table.from_pylist([row], LABELS.remove(LABELS.get_field_index("source")))
    pq.write_table(before, path.path)
    labels = FormerLabels(path.read_bytes(), path).read(TODAY)
    found = labels.on(made(0.0), "Rivers rise", proposal("Rivers rise"), members(), FreeLabels())
    assert found == Label("Flood in Kenya", FIRST, source="local")


def test_a_run_without_clusters_leaves_a_file(tmp_path: Path) -> None:
    LastingLabels(TODAY, {}).write(UPath(tmp_path / "labels.parquet"))
    assert pq.read_schema(tmp_path / "labels.parquet").equals(LABELS)


def test_a_damaged_file_of_labels_is_named(tmp_path: Path) -> None:
    path = UPath(tmp_path / "labels-job-0.parquet")
    with pytest.raises(BadInputError, match=r"labels-job-0\.parquet is damaged.*or remove it"):
        FormerLabels(b"PAR1", path).read(datetime(2026, 3, 1, tzinfo=UTC))
