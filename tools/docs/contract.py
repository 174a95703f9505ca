"""docs/reference/contract: JSON Schemas of what Stage 4 publishes, from the models it writes by.

`python -m tools.docs.contract` writes them and docs/reference/contract.md;
with `--check` it only names those that differ, and fails if there are any.
"""

import inspect
import json
import sys
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from clustering_tasks.contract import events, record
from tools.docs.settings import page, run, table

COMMAND = "python -m tools.docs.contract"
FOLDER = "docs/reference/contract"
PAGE = f"{FOLDER}.md"
Json = dict[str, Any]

_READERS = {
    "record": "Stage 5; other readers of the JSONL",
    "event": "Stage 5's webhook",
}
_DIALECT = GenerateJsonSchema.schema_dialect


class Written(GenerateJsonSchema):
    """The schema of what is written: every field is there, and none has a default or a title."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ARG002 - pydantic's
        """Every field is there."""
        return True

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's
        """No field has a title."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default is not shown."""
        return self.generate_inner(schema["schema"])


def schemas() -> dict[str, Json]:
    """Make the schema of every record and event, by its file's name."""
    return {
        **{
            f"record_{level}": _schema(model, f"urn:stage4:record:{level}:{record.VERSION}")
            for level, model in record.RECORDS.items()
        },
        **{
            f"event_{name}": _schema(model, f"urn:stage4:event:{name}:{events.VERSION}")
            for name, model in events.EVENTS.items()
        },
    }


def files() -> dict[str, str]:
    """Render the schemas and the page that lists them: paths in the repository, and contents."""
    found = schemas()
    texts = {
        f"{FOLDER}/{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in found.items()
    }
    return {**texts, PAGE: contract_page(found)}


def contract_page(found: dict[str, Json]) -> str:
    """List the schemas.

    Args:
        found: the schemas by the names of their files.
    """
    rows = (
        (
            f"[{name}.schema.json](contract/{name}.schema.json)",
            schema["description"],
            _READERS[name.partition("_")[0]],
            f"`{schema['$id']}`",
        )
        for name, schema in found.items()
    )
    return page(
        COMMAND,
        "Contract",
        "What Stage 4 publishes, as JSON Schema (draft 2020-12), made from the models that the "
        "code writes by. The tests check every record and every event that they publish.",
        table(("file", "describes", "read by", "`$id`"), rows),
        "- Every field is always there; one that may be `null` says when.\n"
        "- No other field is there. A change of a field gives the schema a new version, the last "
        "part of its `$id`; a setting of an algorithm is a field of `metadata.parameters`.\n"
        "- A record holds nothing of Stage 3's own metadata but what these fields are made of. "
        "Metadata pass through in the column `metadata` of `members.parquet` and of "
        "`stage4.members` ([schema.md](schema.md)), in any form.\n"
        "- Keys of a record are sorted; lines end with `\\n`; text is UTF-8.",
    )


def _schema(model: Any, name: str) -> Json:
    made = TypeAdapter(model).json_schema(schema_generator=Written)
    made["description"] = inspect.getdoc(model)
    return {"$schema": _DIALECT, "$id": name, **made}


if __name__ == "__main__":
    sys.exit(run(files))
