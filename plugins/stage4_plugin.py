"""Registers Stage 4 with Airflow: REST API and pages on the API server, names in the scheduler."""

import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from stage4.events import listener

URL_PREFIX = "/stage4/api/v1"
PAGES_PREFIX = "/stage4/pages"
_PAGES = PAGES_PREFIX.removeprefix("/")  # relative, for an Airflow below a path of its host


class Stage4Plugin(AirflowPlugin):
    """What Airflow finds in the plugins folder.

    Every process of Airflow imports this file, tasks too, and only the API server needs FastAPI and
    the database's driver (0.5 s). So the apps are a property: they are built when asked for.
    """

    name = "stage4"
    external_views: list[Any] = [  # noqa: RUF012 - declared so by Airflow
        {
            "name": "Clusters",
            "href": f"{_PAGES}/explorer",
            "destination": "nav",
            "category": "browse",
            "url_route": "stage4-explorer",
        },
        {
            "name": "Clustering runs",
            "href": f"{_PAGES}/dashboard",
            "destination": "nav",
            "category": "browse",
            "url_route": "stage4-dashboard",
        },
        {
            "name": "Clusters",
            "href": f"{_PAGES}/runs/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "stage4-run",
        },
    ]

    listeners: list[Any] = [listener]  # noqa: RUF012 - declared so by Airflow

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Let the scheduler name the parts of a level before they start, and guard a run's conf."""
        from stage4.policies import register

        register()

    @property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """What stands in front of all of Airflow's API server."""
        try:
            from stage4.api.front_middleware import FrontMiddleware
        except ImportError:  # `fastapi_apps` logs which library is missing
            return []
        return [{"middleware": FrontMiddleware, "name": "Stage 4 front"}]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The REST API and the pages, built for this process."""
        try:
            from stage4.api.app import api
            from stage4.pages.app import pages
        except ImportError as error:
            # Airflow's API server would not start: an installation without a library of this API
            # keeps all the rest.
            logging.getLogger(__name__).error(  # noqa: TRY400 - the name says all
                "Stage 4 has no REST API, because %s is not installed: install requirements.txt",
                error.name,
            )
            return []
        return [
            {"app": api(), "url_prefix": URL_PREFIX, "name": "Stage 4"},
            {"app": pages(), "url_prefix": PAGES_PREFIX, "name": "Stage 4 pages"},
        ]
