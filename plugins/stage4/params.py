"""The trigger form of a level's DAG, generated from `RunSettings`."""

from collections.abc import Iterator
from typing import Any

from airflow.sdk import Param
from pydantic import BaseModel

from clustering_tasks.settings.run import RunSettings


def run_params() -> dict[str, Param]:
    """Describe every setting of a run, by its dotted name, as Airflow's form and REST check it."""
    return dict(_params(RunSettings, "", "General"))


def _params(model: type[BaseModel], prefix: str, section: str) -> Iterator[tuple[str, Param]]:
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            title = (group.__doc__ or name).strip().splitlines()[0].rstrip(".")
            yield from _params(group, f"{prefix}{name}.", title)
        else:
            yield f"{prefix}{name}", _param(properties[name], section)


def _param(schema: dict[str, Any], section: str) -> Param:
    schema = _for_the_form(schema)
    default = schema.pop("default")
    return Param(default, schema.pop("description", None), schema=schema | {"section": section})


def _for_the_form(schema: dict[str, Any]) -> dict[str, Any]:
    """Write pydantic's schema of one field in the dialect that Airflow's form understands."""
    schema = {name: value for name, value in schema.items() if name != "title"}
    if "const" in schema:  # a Literal of one value; the form offers a list only for an enum
        schema["enum"] = [schema.pop("const")]
    if "anyOf" in schema:  # an optional value; the form reads a list of types
        options = schema.pop("anyOf")
        types = [option["type"] for option in options]
        schema |= {name: value for option in options for name, value in option.items()}
        schema["type"] = types
    return schema
