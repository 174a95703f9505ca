"""The schemas of Stage 5's events: as narrow as what is written, and as nullable."""

import pytest

from clustering_tasks.contract.events import DeletionEvent
from clustering_tasks.publication.report import Report
from stage4.clients.stage5 import completion_event, rolled_back_event
from stage4.database.changes import ID_CHANGES
from tests.contract import Json, broken, check_event, fields, holders, nullable, validator
from tests.integration.test_notify import FILES, REPORT

CHANGES = {"base_load_id": 16, "load_id": 17, "counts": dict.fromkeys(ID_CHANGES, 2)}
COUNTS = ("read", "clustered", "noise", "filtered", "unassigned", "clusters")
FULL = Report.model_validate(REPORT | {"quality": {"silhouette": 0.7, "davies_bouldin": 0.4}})
EMPTY = Report.model_validate(REPORT | {"counts": dict.fromkeys(COUNTS, 0), "quality": {}})
DELETION: DeletionEvent = {
    "event_type": "clustering.document.deleted",
    "job_id": "cluster_events.manual-1",
    "embedding_type": "event",
    "changed_clusters": [
        {"cluster_id": "event_000000000001", "new_cluster_id": "event_000000000002"}
    ],
    "removed_clusters": ["event_000000000003"],
    "output_files": FILES,
    "timestamp": "2026-11-20T02:15:00.000001Z",
}
BOTH: list[tuple[Report, Json | None]] = [(FULL, CHANGES), (EMPTY, None)]
EVENTS: dict[str, list[Json]] = {
    "event_completion": [dict(completion_event(it, FILES, changes)) for it, changes in BOTH],
    "event_rolled_back": [dict(rolled_back_event(it, FILES, 23, changes)) for it, changes in BOTH],
    "event_deletion": [dict(DELETION)],
}

names = pytest.mark.parametrize("name", EVENTS)


@names
def test_an_event_is_taken_by_its_own_schema_alone(name: str) -> None:
    for event in EVENTS[name]:
        check_event(event)
        assert [it for it in EVENTS if validator(it).is_valid(event)] == [name]


@names
def test_an_event_with_one_wrong_field_is_refused(name: str) -> None:
    checks = validator(name)
    for event in EVENTS[name]:
        assert [what for what, other in broken(name, event) if checks.is_valid(other)] == []
        for wrong in ({"embedding_type": "events"}, {"timestamp": "2026-11-20"}, {"job_id": ""}):
            assert not checks.is_valid(event | wrong), wrong


@names
def test_every_nullable_field_is_null_in_one_event_and_not_in_another(name: str) -> None:
    for place in nullable(name):
        field = place.rpartition(".")[2]
        values = [holder[field] for event in EVENTS[name] for holder in holders(event, place)]
        assert None in values, place
        assert any(value is not None for value in values), place


@names
def test_every_field_is_described(name: str) -> None:
    assert [at for at, it in fields(name).items() if not {"description", "$ref"} & set(it)] == []
