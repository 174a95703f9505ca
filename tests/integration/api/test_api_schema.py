"""The OpenAPI document holds: schemathesis asks whatever it allows, and whatever it does not."""

import itertools
import json
import re
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stage4.api.app import build
from stage4.api.auth_middleware import OPEN_PATH
from stage4.api.openapi import describe
from tests.integration.api.conftest import Api, Corpus

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Case = schemathesis.Case[Any]
EXAMPLES = 20  # of each operation, each kind, and twice
SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(describe(build()))))
OPERATIONS = [
    (path, method)
    for path, operations in SCHEMA.raw_schema["paths"].items()
    for method in operations
]


@pytest.fixture(scope="session")
def real_ids(corpus: Corpus) -> dict[str, Any]:
    """Path parameters of what there is: made-up ones find nothing."""
    run = corpus.runs["events"]
    member = run.members[0]
    return {
        "cluster_id": next(iter(run.records)),
        "level": "events",
        "load_id": run.load_id,
        "source_id": member["source_id"],
        "document_id": next(iter(run.records.values()))["document_ids"][0],
    }


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        (path, method, mode)
        for path, method in OPERATIONS
        for mode in schemathesis.GenerationMode
        if path != OPEN_PATH or mode.is_positive  # what takes nothing cannot be asked wrongly
    ],
)
def test_the_api_is_as_it_is_described(
    viewer: Api,
    real_ids: dict[str, Any],
    path: str,
    method: str,
    mode: schemathesis.GenerationMode,
) -> None:
    """With what the document allows, and with what it does not."""

    @hypothesis.settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(hypothesis.HealthCheck),
        derandomize=True,
        database=None,
    )
    @hypothesis.given(case=SCHEMA[path][method].as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        ask(case, viewer)
        if case.path_parameters:
            known = {name: real_ids[name] for name in case.path_parameters if name in real_ids}
            case.path_parameters = {**case.path_parameters, **known}
            ask(case, viewer)

    check()


ODD_IDS = [
    *("a\nb", "\n", "a\rb", "a\tb", "\0", "\x1b[2J", "\x7f", "\x85", "\u2028"),
    *("a/b", "/", "//", "../..", "..", ".", "a\\b", "%2F", "%0A", "%00", "%"),
    *(
        "\u202egnp.exe",
        "\u200b",
        "\ufeff",
        "\U000e0041",
        " ",
        "\xa0",
        "e\u0301",
        "नई",
        "\U0001f600",
    ),
    *("a" * 512, "a" * 513, "a" * 20_000, "\U0001f600" * 600),
    *("?x=1", "#", "a;b", "a,b", "{level}", "'; SELECT 1; --", "<script>", "null", "-1", "1e9"),
    *(str(2**63), str(2**64), str(10**400)),
]


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, method in OPERATIONS if "{" in path]
)
def test_an_odd_id_gets_an_answer_as_it_is_described(
    viewer: Api, real_ids: dict[str, Any], path: str, method: str
) -> None:
    """In the place of each parameter of the path, the others as they are."""
    names = re.findall(r"\{(\w+)\}", path)
    for name, odd in itertools.product(names, ODD_IDS):
        known = {each: real_ids.get(each, "cluster_events.x") for each in names}
        written = quote(odd, safe="").replace(".", "%2E")  # else a client goes up by ".."
        case = SCHEMA[path][method].Case(path_parameters=known | {name: written})
        ask(case, viewer)


def ask(case: Case, viewer: Api) -> None:
    how = case.as_transport_kwargs(base_url=str(viewer.client.base_url).rstrip("/"))
    how["headers"] = dict(how.get("headers") or {}) | viewer.headers
    how.pop("cookies", None)
    how.pop("auth", None)
    answer = viewer.client.request(**how)
    case.validate_response(answer, checks=CHECKS)


def test_the_document_is_served_to_users(viewer: Api) -> None:
    served = viewer.get("openapi.json")
    assert served.pop("servers") == [{"url": "/stage4/api/v1"}]
    assert served == json.loads(json.dumps(describe(build())))


def test_former_names_are_deprecated() -> None:
    document = describe(build())
    schemas = document["components"]["schemas"]
    answers = [
        each["properties"]
        for name, each in schemas.items()
        if "load_id" in each["properties"] and name != "LineageRow"  # younger than the name
    ]
    names = {name for each in answers for name in ("run", "run_id") if name in each}
    assert names == {"run", "run_id"}, "of the search's body, and of answers"
    for properties in answers:
        (former,) = {"run", "run_id"} & set(properties)
        assert properties[former]["deprecated"] is True
        assert not properties["load_id"].get("deprecated")
    asked = [
        {each["name"]: each for each in operation.get("parameters", ())}
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    parameters = [each["run"] for each in asked if "run" in each]
    assert len(parameters) == 6
    assert all(each["deprecated"] for each in parameters)


def test_every_refusal_is_a_problem() -> None:
    for path in describe(build())["paths"].values():
        for operation in path.values():
            assert {"401", "403", "422", "429", "503", "504"} <= set(operation["responses"])
            for status, answer in operation["responses"].items():
                if status >= "4" and not (status == "503" and "Health" in str(answer)):
                    assert list(answer["content"]) == ["application/problem+json"]
