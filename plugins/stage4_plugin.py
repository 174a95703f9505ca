"""Registers Stage 4 with Airflow: its REST API, on the API server."""

import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

URL_PREFIX = "/stage4/api/v1"


class Stage4Plugin(AirflowPlugin):
    """What Airflow finds in the plugins folder.

    Every process of Airflow imports this file, tasks too, and only the API server needs FastAPI and
    the database's driver (0.5 s). So the API is a property: it is built when it is asked for.
    """

    name = "stage4"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The REST API, built for this process."""
        try:
            from stage4.api.app import api
        except ImportError as error:
            # Airflow's API server would not start: an installation without a library of this API
            # keeps all the rest.
            logging.getLogger(__name__).error(  # noqa: TRY400 - the name says all
                "Stage 4 has no REST API, because %s is not installed: install requirements.txt",
                error.name,
            )
            return []
        return [{"app": api(), "url_prefix": URL_PREFIX, "name": "Stage 4"}]
