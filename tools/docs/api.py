"""docs/reference/api.md, written from the OpenAPI document; by `python -m tools.docs.dags`."""

from collections.abc import Iterator, Mapping
from typing import Any

from stage4.api.openapi import EVERYWHERE
from tools.docs.settings import page, table

PAGE = "docs/reference/api.md"
Json = Mapping[str, Any]

_INTRODUCTION = (
    "Below `/stage4/api/v1` of Airflow's API server; `openapi.json` there is this page for "
    "machines. "
)


def api_page(command: str, document: Json) -> str:
    """Describe the endpoints and what they answer.

    Args:
        command: that writes the page.
        document: OpenAPI.
    """
    schemas = document["components"]["schemas"]
    endpoints = [
        _endpoint(path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    models = [_model(name, schemas[name]) for name in sorted(schemas)]
    introduction = _INTRODUCTION + document["info"]["description"].replace("\n\n", "\n")
    return page(
        command,
        "REST API",
        " ".join(introduction.split()),
        "Any endpoint may refuse, with a [Problem](#problem):",
        table(("status", "when"), sorted(EVERYWHERE.items())),
        "## Endpoints",
        *endpoints,
        "## Bodies and answers",
        *models,
    )


def _endpoint(path: str, method: str, operation: Json) -> str:
    parts = [f"### `{method.upper()} {path}`", operation["description"]]
    if parameters := [_parameter(each) for each in operation.get("parameters", ())]:
        parts.append(table(("parameter", "in", "type", "default", "meaning"), parameters))
    if body := operation.get("requestBody"):
        parts.append(f"Body: {_type(body['content']['application/json']['schema'])}.")
    parts.append(table(("status", "answer", "when"), _answers(operation["responses"])))
    return "\n\n".join(parts)


def _parameter(parameter: Json) -> tuple[str, ...]:
    schema = parameter["schema"]
    default = "required" if parameter.get("required") else _default(schema)
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    meanings = (each.get("description") for each in (parameter, schema, *kinds))
    meaning = next(filter(None, meanings), "")
    types = " or ".join(map(_type, kinds))
    return f"`{parameter['name']}`", parameter["in"], types, default, meaning


def _answers(responses: Json) -> Iterator[tuple[str, str, str]]:
    for status, answer in sorted(responses.items()):
        if EVERYWHERE.get(status) == answer["description"]:
            continue
        kinds = {_type(content["schema"]) for content in answer["content"].values()}
        when = "" if status == "200" else answer["description"]
        yield status, ", ".join(sorted(kinds)), when


def _model(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"`{field}`",
            _type(about),
            "" if field in required else _default(about),
            about.get("description", ""),
        )
        for field, about in schema["properties"].items()
    ]
    head = f"### {name}"
    return "\n\n".join(
        (head, schema["description"], table(("field", "type", "default", "meaning"), rows))
    )


def _default(schema: Json) -> str:
    value = schema.get("default")
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(schema: Json) -> str:
    """Write a schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if kinds := schema.get("anyOf"):
        return " or ".join(_type(kind) for kind in kinds)
    if values := schema.get("enum"):
        return ", ".join(f"`{value}`" for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = schema.get("format") or schema.get("type") or "anything"
    return f"{kind}{_bounds(schema)}"


def _bounds(schema: Json) -> str:
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    if least is None and most is None:
        return ""
    of = " characters" if "maxLength" in schema else ""
    if most is None:
        return f", {least} at least"
    return f", {least} to {most}{of}" if least is not None else f", {most}{of} at most"
