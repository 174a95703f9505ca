"""The API as a FastAPI application, for Airflow's API server to mount."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import Depends, FastAPI, Request

from stage4.api import problems
from stage4.api.auth_middleware import AuthMiddleware
from stage4.api.openapi import DESCRIPTION, TITLE, VERSION, describe
from stage4.api.parameters import known_parameters
from stage4.api.routes import routers
from stage4.api.security import AccessDep
from stage4.api.services import running_services


@cache
def api() -> FastAPI:
    """The application of this process."""
    return build()


def build() -> FastAPI:
    """Build an application; it connects to nothing before its lifespan begins."""
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        lifespan=_lifespan,
        dependencies=[Depends(known_parameters)],
        # They would be open to everybody: FastAPI gives them no dependencies.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    for router in routers():
        app.include_router(router)
    app.add_api_route("/openapi.json", _openapi, include_in_schema=False)
    app.add_middleware(AuthMiddleware)
    problems.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with running_services() as services:
        app.state.services = services
        yield


def _openapi(request: Request, _access: AccessDep) -> dict[str, Any]:
    """Describe the API, at the address that it was asked under."""
    return describe(request.app) | {"servers": [{"url": request.scope.get("root_path") or "/"}]}
