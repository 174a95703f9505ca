"""Who may ask for what: Airflow's auth manager decides, as it does for the level's DAG."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    DagAccessEntity,
    DagDetails,
)
from airflow.configuration import conf
from airflow.models.dag import DagModel  # noqa: TID251 - the API server has the metadata database
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from clustering_tasks.settings.levels import LEVELS
from stage4.api.problems import ProblemError
from stage4.job_ids import CLUSTERING_DAGS, dag_of

# Any value: that a page of another origin cannot set it without being asked first is the point.
CSRF_HEADER = "X-Stage4-Request"
Method = Literal["GET", "POST", "PUT"]
DELETE_DOCUMENT_DAG = "delete_document"

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="Airflow",
    description="A token of `POST /auth/token`; pages of Airflow's own origin send its cookie.",
)


@dataclass(frozen=True)
class Access:
    """The rights of the user who asks."""

    user: BaseUser

    async def check(self, level: str) -> None:
        """Refuse who may not read the DAG of a level.

        Raises:
            ProblemError: 403.
        """
        if not await self.may(dag_of(level), "GET"):
            raise _forbidden(f"You may not read the DAG `{dag_of(level)}`, hence not its clusters.")

    async def check_write(self, level: str) -> None:
        """Refuse who may not start runs of a level's DAG.

        Raises:
            ProblemError: 403.
        """
        if not await self.may(dag_of(level), "POST", DagAccessEntity.RUN):
            raise _forbidden(f"You may not start runs of the DAG `{dag_of(level)}`.")

    async def check_act(self, dag: str) -> None:
        """Refuse who may not change runs of a DAG.

        Raises:
            ProblemError: 403.
        """
        if not await self.may(dag, "PUT", DagAccessEntity.RUN):
            raise _forbidden(f"You may not change runs of the DAG `{dag}`.")

    async def may(self, dag: str, method: Method, entity: DagAccessEntity | None = None) -> bool:
        """Tell whether the user may read (GET) a DAG or its runs, start or change (PUT) runs."""
        # The auth manager may ask its database.
        return await run_in_threadpool(_authorised, self.user, dag, method, entity)

    async def readable(self) -> list[str]:
        """Name the levels that the user may read; never none.

        Raises:
            ProblemError: 403.
        """
        levels = [level for level in LEVELS if await self.may(dag_of(level), "GET")]
        if not levels:
            raise _forbidden("You may read none of the DAGs `cluster_<level>`.")
        return levels

    async def levels(self, level: str | None) -> list[str]:
        """Name the levels that a list is about: the one asked for, or all that may be read.

        Raises:
            ProblemError: 403.
        """
        if level is None:
            return await self.readable()
        await self.check(level)
        return [level]

    async def readable_jobs(self) -> list[str]:
        """Name those of Stage 4's DAGs whose runs the user may read; never none.

        Raises:
            ProblemError: 403.
        """
        dags = [dag for dag in CLUSTERING_DAGS if await self.may(dag, "GET", DagAccessEntity.RUN)]
        if not dags:
            raise _forbidden("You may read the runs of none of the DAGs `cluster_<level>`.")
        return dags

    async def check_installation(self) -> None:
        """Refuse who may not see what the installation consists of.

        Raises:
            ProblemError: 403.
        """
        if not await run_in_threadpool(_sees_activity, self.user):
            raise _forbidden("You may not see the activity of this Airflow.")


def _sees_activity(user: BaseUser) -> bool:
    manager: Any = get_auth_manager()
    return bool(manager.is_authorized_view(access_view=AccessView.CLUSTER_ACTIVITY, user=user))


def _authorised(user: BaseUser, dag: str, method: Method, entity: DagAccessEntity | None) -> bool:
    details = DagDetails(id=dag, team_name=_team(dag))
    manager: Any = get_auth_manager()
    return bool(
        manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=user)
    )


def _team(dag: str) -> str | None:
    """Find the team that a DAG belongs to; a query, and so only where there are teams."""
    if not conf.getboolean("core", "multi_team", fallback=False):
        return None
    return DagModel.get_team_name(dag)


def _forbidden(why: str) -> ProblemError:
    return ProblemError(HTTPStatus.FORBIDDEN, f"{why} Ask Airflow's administrator for the right.")


async def _access(request: Request, _token: Annotated[Any, Security(_bearer)]) -> Access:
    """Hand on the user whom the gate has let in; the token stands here for OpenAPI alone."""
    return Access(request.scope["stage4_user"])


AccessDep = Annotated[Access, Depends(_access)]


def own_page(request: Request) -> None:
    """Refuse a change that another site's page sends with the user's cookie.

    A request with a token of its own is not sent by a browser's habit. One that comes with the
    cookie has to show that it comes from a page of this origin: by a header that other origins may
    not set, or by its `Origin`. For every endpoint that changes something.

    Raises:
        ProblemError: 403.
    """
    if request.headers.get("authorization") or CSRF_HEADER in request.headers:
        return
    origin = request.headers.get("origin")
    own = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    if origin is None or urlsplit(origin).netloc not in own - {None, ""}:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"A change with the session's cookie needs the header `{CSRF_HEADER}`, or an `Origin` "
            "that is this server.",
        )
