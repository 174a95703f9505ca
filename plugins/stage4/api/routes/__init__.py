"""The endpoints, a module for each kind of thing that is asked for."""

from collections.abc import Iterator
from importlib import import_module

from fastapi import APIRouter

# In the order of the API's description; a new module is a line here.
ROUTES = (
    "clusters",
    "identities",
    "search",
    "items",
    "documents",
    "corrections",
    "runs",
    "metrics",
    "map",
    "batch",
    "jobs",
    "events",
    "stage3_events",
    "health",
)


def routers() -> Iterator[APIRouter]:
    """Import the modules; yields the `router` of each."""
    for name in ROUTES:
        router: APIRouter = import_module(f"{__name__}.{name}").router
        yield router
