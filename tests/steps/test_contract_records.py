"""The schemas of records: as narrow as what `label` writes, and as nullable."""

import json
from pathlib import Path

import pytest

from clustering_tasks.contract.record import RECORDS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings
from tests.conftest import Workbench
from tests.contract import Json, broken, fields, holders, nullable, validator
from tests.stage3_folder import blobs, plain_metadata

HDBSCAN = {"min_cluster_size": 3, "min_samples": 2}
ALGORITHMS = ("agglomerative", "hdbscan", "kmeans", "label_propagation", "two_stage")


def records(workbench: Workbench, level: str) -> list[Json]:
    """Two clusters whose members have all metadata, and two whose members have none."""
    known = {
        "domain": "health",
        "event_type": "protest",
        "entity_type": "ORG",
        "timestamp": "2025-12-10",
    }
    metadata = [plain_metadata(level, number) | known for number in range(12)] + [{}] * 12
    workbench.stage3.write(level, blobs([6, 6, 6, 6], spread=0.05), metadata)
    done = workbench.perform(level, hdbscan=HDBSCAN)
    found = [json.loads(line) for line in Path(done["clusters_jsonl"]).read_text().splitlines()]
    assert len(found) == 4
    tag = {"category": "topic", "tag": "climate", "confidence": 0.9}
    for record in found:  # as of a run with corrections, and with tags
        record["corrections"] = [{"correction_id": 1, "kind": "pin"}]
        record["tags"] = [{**tag, "members": 5, "applied": 1, "conflicts": 0}]
        if record["trend"]:
            record["trend"] |= {"earlier_rate": 2.0, "ratio": 1.5, "ratio_low": 1, "ratio_high": 2}
        record["member_tags"] = [{**tag, "id": record["member_ids"][0], "source": "text"}]
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_every_nullable_field_is_null_in_one_record_and_not_in_another(
    workbench: Workbench, level: str
) -> None:
    found = records(workbench, level)
    for place in nullable(f"record_{level}"):
        name = place.rpartition(".")[2]
        values = [holder[name] for record in found for holder in holders(record, place)]
        assert None in values, place
        assert set(map(type, values)) - {type(None)}, place


@pytest.mark.parametrize("level", LEVELS)
def test_a_record_with_one_wrong_field_is_refused(workbench: Workbench, level: str) -> None:
    checks = validator(f"record_{level}")
    for record in records(workbench, level):
        assert checks.is_valid(record)
        others = broken(f"record_{level}", record)
        assert [what for what, other in others if checks.is_valid(other)] == []
        for wrong in (
            {"cluster_id": "event_7F3A9C2E41B0"},
            {"cluster_size": 1},
            {"member_probabilities": [1.5, 1.0]},
            {"temporal_span": ["2025-12-10T00:00:00Z"]},
            {"temporal_span": ["2025-12-10", "2025-12-11"]},
            {"domain": "gossip"},
            {"metadata": record["metadata"] | {"algorithm": "auto"}},
            {"metadata": record["metadata"] | {"parameters": {"min_cluster_size": 3}}},
        ):
            assert not checks.is_valid(record | wrong), wrong


def test_a_record_is_refused_by_the_schemas_of_other_levels(workbench: Workbench) -> None:
    for level in LEVELS:
        for record in records(workbench, level):
            taken = [it for it in LEVELS if validator(f"record_{it}").is_valid(record)]
            assert taken == [level]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_parameter_may_be_null_only_where_null_is_its_default(algorithm: str) -> None:
    """`null` has the algorithm choose: the records of the default settings have all of them."""
    group = type(getattr(RunSettings(), algorithm))
    schema = validator("record_events").schema["$defs"][group.__name__]
    written = getattr(RunSettings(), algorithm).model_dump()
    assert set(schema["required"]) == set(written)
    may_be_null = {
        name
        for name, field in schema["properties"].items()
        if {"type": "null"} in field.get("anyOf", [])
    }
    assert may_be_null == {name for name, value in written.items() if value is None}


@pytest.mark.parametrize("level", LEVELS)
def test_every_field_is_described(level: str) -> None:
    assert set(RECORDS) == set(LEVELS)
    bare = [place for place, field in fields(f"record_{level}").items() if not described(field)]
    assert bare == []


def described(field: Json) -> bool:
    return "description" in field or "$ref" in field
