"""The AsyncAPI document: current, well-formed, and true of what is sent."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from stage4.database.job_events import Created, Ended, Job, Progressed, Started, observe_all
from stage4.events.cloud_event import body
from tests.events_out import NOON, due
from tools.docs import events
from tools.docs.settings import REPO

Json = dict[str, Any]
DOCUMENT = json.loads((REPO / events.PAGE).read_text(encoding="utf-8"))


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for each in node for found in references(each)] if isinstance(node, list) else []


def validator(key: str) -> Any:
    schema = {"$ref": f"#/components/messages/{key}/payload"}
    return Draft7Validator({"allOf": [schema], "components": DOCUMENT["components"]})


def test_the_document_is_current() -> None:
    assert events.document() == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


FACTS: list[Any] = [
    Created(NOON),
    Started(NOON),
    Progressed(NOON, 10.0),
    Ended(NOON, "failed", "merge: no memory"),
]


@pytest.mark.parametrize("place", range(len(FACTS)))
def test_what_is_sent_is_as_the_document_has_it(place: int) -> None:
    event = observe_all(Job("cluster_events.manual__1", "events"), FACTS)[1][place]
    sent = json.loads(body(due(type=event.type, data=event.data)))
    own = event.type.rpartition(".")[2]
    assert list(validator(own).iter_errors(sent)) == []
    for key in DOCUMENT["components"]["messages"]:
        assert validator(key).is_valid(sent) == (key == own)
    for wrong in ({"sequence": 7}, {"id": ""}, {"data": sent["data"] | {"percent": 101}}):
        assert not validator(own).is_valid(sent | wrong), wrong
