"""The pages as an application of their own: shells that ask the REST API for all they show.

Not part of the REST API's application, whose answers to a program (problems, an OpenAPI document, a
rate limit) are not what a browser wants to get.
"""

from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from clustering_tasks.publication.alerts import TIMED
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.stage3.text import UNSEEN
from stage4.api.job_events import EventResponse, Progress
from stage4.api.problems import ProblemError
from stage4.api.security import Access
from stage4.job_ids import LEVEL_OF_DAG, job_id
from stage4.pages.login_middleware import LoginMiddleware
from stage4.tasks import RUN_ORDER

_HERE = Path(__file__).parent
_PIPELINE = {"tasks": RUN_ORDER, "timed": TIMED}
# As a regular expression of JavaScript, in characters that pass through HTML.
_UNSEEN = "".join(each if each in "[]|-" else f"\\u{{{ord(each):x}}}" for each in UNSEEN)


@cache
def pages() -> FastAPI:
    """The application of this process."""
    return build()


def build() -> FastAPI:
    """Build an application."""
    app = FastAPI(title="Stage 4 pages", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.progress = Progress()
    app.add_api_route("/", _start, include_in_schema=False)
    for name in ("dashboard", "explorer"):
        app.add_api_route(f"/{name}", _page, name=name, include_in_schema=False)
    app.add_api_route("/progress", _progress, include_in_schema=False)
    app.add_api_route("/runs/{dag}/{run_id}", _run, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.add_middleware(LoginMiddleware)
    return app


def _start() -> Response:
    return RedirectResponse("dashboard", 303)


def _page(request: Request) -> Response:
    """Serve a page; nothing in it depends on who asks."""
    name = request.scope["route"].name
    text = (
        _templates()
        .get_template(f"{name}.html")
        .render(levels=list(LEVELS), page=name, pipeline=_PIPELINE, unseen=_UNSEEN)
    )
    return HTMLResponse(text)


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True)


def _run(dag: str, run_id: str) -> Response:
    """Lead from a run's page in Airflow to its clusters; a DAG without a level to the dashboard."""
    level = LEVEL_OF_DAG.get(dag)
    if level is None:
        return RedirectResponse("../../dashboard", 303)
    return RedirectResponse(f"../../explorer?level={level}&job={job_id(dag, run_id)}", 303)


async def _progress(request: Request) -> Response:
    """Stream the jobs that the user may read, as they change."""
    try:
        dags = await Access(request.scope["stage4_user"]).readable_jobs()
    except ProblemError as error:
        return HTMLResponse(error.detail, error.status_code, media_type="text/plain")
    progress: Progress = request.app.state.progress
    return EventResponse(progress.stream(frozenset(dags)))
