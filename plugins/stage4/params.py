"""The trigger form of a level's DAG, generated from `RunSettings`.

Airflow's form shows the params in their order, in one box for each section, and opens with the box
of those without a section. Nested settings have a param for each group, which checks them when a
run is triggered, and which the form does not show.
"""

from collections.abc import Iterator
from typing import Any

from airflow.sdk import Param
from pydantic import BaseModel

from clustering_tasks.algorithms.method import LARGE, resolve_method
from clustering_tasks.settings.groups.base import LARGEST
from clustering_tasks.settings.levels import Level
from clustering_tasks.settings.renamed import RENAMED, old_values
from clustering_tasks.settings.run import RunSettings, run_settings

# What people set most, first: the algorithm with its main size, the mode, what to do with outliers,
# filters.
OPENING = (
    "algorithm",
    "mode",
    "agglomerative.clusters",
    "agglomerative.cut_similarity",
    "label_propagation.edge_similarity",
    "kmeans.k",
    "hdbscan.min_cluster_size",
    "two_stage.min_cluster_size",
    "outliers.policy",
    "outliers.threshold",
    "outliers.target_share",
    "filter.domains",
    "filter.event_types",
    "filter.entity_types",
    "filter.since",
    "filter.until",
    "filter.keep_undated",
    "filter.document_ids",
)
_GENERAL = "Scope: clustering all items together or each domain separately"
_FILTERS = ("domains", "event_types", "entity_types")


def run_params(level: Level) -> dict[str, Param]:
    """Describe every setting of a run, by its dotted name, as Airflow's form and REST check it.

    Args:
        level: of the DAG; its form describes what `auto` takes for it.
    """
    fields = dict(_fields(RunSettings, "", _GENERAL))
    for name in OPENING:
        del fields[name]["section"]
    for name, text in _of_level(level):
        fields[name]["description"] = text
    opening = _opening(level)
    rest = [name for name in fields if name not in opening]
    form = {name: _param(fields[name]) for name in (*opening, *rest)}
    return form | {name: _hidden(name, schema) for name, schema in _groups().items()}


def settings_schema() -> dict[str, Any]:
    """Describe an object with settings, nested or dotted, as `cluster_all` takes for a level.

    Airflow checks the schema itself, 50 times, whenever it reads the DAG: in draft 7 of JSON Schema
    that is 0.7 s of processor time, in the newest one 2.9 s.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": _dotted() | _groups(),
        "additionalProperties": False,
    }


def _dotted() -> dict[str, dict[str, Any]]:
    """Describe what checks each setting's value, by its dotted name and by its old one."""
    known = {name: _checked(name, field) for name, field in _fields(RunSettings, "", _GENERAL)}
    return known | {old: known[new] for old, new in RENAMED.items() if "=" not in old}


def _groups() -> dict[str, dict[str, Any]]:
    """Describe the object of each group's nested settings; groups of old names, too."""
    groups: dict[str, dict[str, Any]] = {}
    for dotted, schema in _dotted().items():
        group, _, name = dotted.rpartition(".")
        if group:
            groups.setdefault(group, {})[name] = schema
    return {
        name: {"type": "object", "properties": known, "additionalProperties": False}
        for name, known in groups.items()
    }


def _checked(name: str, field: dict[str, Any]) -> dict[str, Any]:
    """Take what checks a value from a field of the form; a list may be a text with commas."""
    shown = ("default", "description", "section", "examples")
    schema = {key: value for key, value in field.items() if key not in shown}
    if "array" in schema["type"]:
        schema["type"] = [*schema["type"], "string"]
    if old := old_values(name):
        schema["enum"] = [*schema["enum"], *old]
    return {key: schema[key] for key in schema if key not in ("$schema", "$ref", "definitions")}


def _hidden(name: str, schema: dict[str, Any]) -> Param:
    """Make a param that REST checks and the form leaves out: it shows no param with a `const`.

    In draft 7 of JSON Schema, `$ref` makes a validator ignore the keywords beside it.
    """
    return Param(
        {},
        f"The settings {name}.* as an object, for REST.",
        schema={
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$ref": "#/definitions/group",
            "definitions": {"group": schema},
            "const": {},
            "type": "object",
        },
    )


def _opening(level: Level) -> list[str]:
    """Order the opening box: behind the algorithm the size of the one that `auto` takes."""
    first, *others = OPENING
    taken = resolve_method(run_settings(), level, LARGE).algorithm
    return [first, *sorted(others, key=lambda name: not name.startswith(f"{taken}."))]


def _fields(
    model: type[BaseModel], prefix: str, section: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        group, dotted = field.annotation, f"{prefix}{name}"
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from _fields(group, f"{dotted}.", _heading(group))
        else:
            yield dotted, _for_the_form(dotted, properties[name]) | {"section": section}


def _heading(group: type[BaseModel]) -> str:
    """Return the first line of a group's docstring; the form shows headings as plain text."""
    return (group.__doc__ or group.__name__).strip().splitlines()[0].rstrip(".").replace("`", "")


def _of_level(level: Level) -> Iterator[tuple[str, str]]:
    """Describe what is not the same in the forms of all levels."""
    few, many = (
        resolve_method(run_settings(), level, items).algorithm for items in (LARGE, LARGE + 1)
    )
    auto = (
        f"{few} for {level.name}, however many there are"
        if few == many
        else f"{few} for up to {LARGE:,} {level.name} and {many} for more"
    )
    report = "The report names the algorithm and the reason."
    yield "algorithm", f"Clustering algorithm. `auto` takes {auto}. {report}"
    for name in _FILTERS:
        if name not in level.filtered_by:
            words = name.replace("_", " ")
            yield f"filter.{name}", f"Leave unset: {level.name} have no {words} to filter by."


def _param(schema: dict[str, Any]) -> Param:
    return Param(schema.pop("default"), schema.pop("description"), schema=schema)


def _for_the_form(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Write pydantic's schema of one field in the dialect that Airflow's form understands."""
    schema = {key: value for key, value in schema.items() if key != "title"}
    if "const" in schema:  # a Literal of one value; the form offers a list only for an enum
        schema["enum"] = [schema.pop("const")]
    if "anyOf" in schema:  # an optional value; the form reads a list of types
        options = schema.pop("anyOf")
        types = [option["type"] for option in options]
        schema |= {key: value for option in options for key, value in option.items()}
        schema["type"] = types
    if {"integer", "number"} & {*_listed(schema.get("type"))}:
        bounded = {"exclusiveMaximum", "maximum"} & schema.keys()
        schema |= {} if bounded else {"maximum": LARGEST}
    if old := old_values(name):
        schema |= _accepting(old, schema["enum"])
    return schema


def _listed(types: str | list[str] | None) -> list[str]:
    return types if isinstance(types, list) else [types or ""]


def _accepting(old: list[str], offered: list[str]) -> dict[str, Any]:
    """Let REST take old values that the form does not offer.

    The form offers `enum`. In draft 7 of JSON Schema, `$ref` makes a validator ignore the keywords
    beside it.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/accepted",
        "definitions": {"accepted": {"enum": [*offered, *old]}},
    }
