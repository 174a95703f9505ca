"""The OpenAPI document: what FastAPI knows, with the errors as they are."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from stage4.api.models.identities import Successors
from stage4.api.problems import MEDIA_TYPE, Problem

TITLE = "Stage 4 Clustering"
VERSION = "1"
DESCRIPTION = """
Look-ups of clusters, their members, runs and metrics.

Every request but `live` needs a token of Airflow (`POST /auth/token`), and the right to read the
DAG of the level that it asks for. Lists are paged: `next_cursor` of a page is `cursor` of the next
one, and the pages of a list are of one run, also when another run is published meanwhile. A
cluster's id outlives its run. Without `load_id` and `published_at`, the address of a cluster that
went into another one leads there (308), that of one that was split names the parts (300), and that
of any other that was ever published is answered with its history (410), never with 404. Errors are
problems (RFC 9457). `Server-Timing` tells the time of Airflow's token check (`gate`) from that of
the endpoint.
"""

# What any endpoint may answer; those of an endpoint alone stand with it.
EVERYWHERE = {
    "400": "Not a request that can be read.",
    "401": "No token, or one that has expired.",
    "403": "A broken token, or a right is missing.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "422": "The request is not valid; `errors` says why.",
    "429": "Too many requests or failed log-ins in a minute; `Retry-After` says how long to wait.",
    "503": "The database cannot be reached, or is busy.",
    "504": "The database took too long.",
}

# `responses` of an endpoint that reads a run.
OF_A_RUN: dict[int | str, dict[str, Any]] = {
    404: {"description": "No run is published yet, or there is no such cluster or run."},
    410: {"description": "The run was removed meanwhile."},
}
# Of an endpoint that reads a cluster of the published run by its id.
OF_A_CLUSTER: dict[int | str, dict[str, Any]] = {
    300: {
        "description": "The id's members went into several clusters, none of which keeps it.",
        "model": Successors,
    },
    308: {
        "description": "The cluster went into another one: `Location` has its address, with the "
        "same parameters. Not to be kept (`Cache-Control: no-store`): a roll-back may restore it.",
    },
    404: {"description": "No run is published yet, or no such id was ever published."},
    410: {
        "description": "The id was published once, and is no cluster of the published run: "
        "`identity` has its state, `lineage` its last runs. Or the run was removed meanwhile."
    },
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Write the OpenAPI document of `app`, without servers; once (0.1 s)."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def _describe(app: FastAPI) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION.strip(),
        routes=app.routes,
    )
    for path in document["paths"].values():
        for operation in path.values():
            _add_problems(operation["responses"])
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of a 422
        schemas.pop(name, None)
    template = "#/components/schemas/{model}"
    problem = Problem.model_json_schema(ref_template=template)
    schemas |= problem.pop("$defs") | {"Problem": problem}
    return document


def _add_problems(responses: dict[str, Any]) -> None:
    own = {
        status: answer["description"]
        for status, answer in responses.items()
        if status >= "4" or status == "308"  # a redirection for a reader without a browser
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, text in sorted((own | EVERYWHERE).items()):
        if status == "503" and responses.get(status, {}).get("content"):
            continue  # health's own answer
        responses[status] = {"description": text, "content": content}
