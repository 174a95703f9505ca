"""`jobs`: runs of Stage 4's DAGs, to look at and to act on."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from stage4.api import airflow_jobs, cursors
from stage4.api.airflow_app import lent
from stage4.api.job_acts import Actor, Run
from stage4.api.job_events import MEDIA_TYPE, EventResponse
from stage4.api.models.jobs import JobAct, JobDetails, JobPage, JobState
from stage4.api.parameters import DEFAULT_ROWS, CursorText, Level, Limit
from stage4.api.problems import ProblemError
from stage4.api.security import Access, AccessDep, own_page
from stage4.api.services import ServicesDep
from stage4.job_ids import ALL_LEVELS_DAG, dag_of
from stage4.tasks import LEVEL_TASKS

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobIdPath = Annotated[
    str,
    Path(
        pattern=r"^cluster_[a-z]+\.[A-Za-z0-9_.-]+$",
        max_length=200,
        description="For example `cluster_events.manual__1`.",
    ),
]

_ACTING: dict[str, Any] = {
    "dependencies": [Depends(own_page)],
    "responses": {
        404: {"description": "None such."},
        409: {"description": "The job's state does not allow it."},
        502: {"description": "Airflow failed."},
    },
}
_UNFINISHED = ("queued", "running", "paused")
_ACTS = {
    "pause": _UNFINISHED,
    "resume": _UNFINISHED,
    "cancel": _UNFINISHED,
    "retry": ("failed",),
    "retry from": ("failed", "completed"),
}
_ADVICE = {"canceled": "A canceled job stays so: submit a new one."}


class JobParameters(BaseModel):
    """Which jobs, and which page of them."""

    level: Level | None = Field(None, description="Default: all, `cluster_all` among them.")
    state: JobState | None = None
    limit: Limit = DEFAULT_ROWS
    cursor: CursorText | None = None


@router.get("", response_model=JobPage)
async def list_jobs(asked: Annotated[JobParameters, Query()], access: AccessDep) -> JobPage:
    """List jobs, newest first, in pages."""
    dags = await access.readable_jobs()
    if asked.level is not None:
        dags = [dag for dag in dags if dag == dag_of(asked.level)]
    question = {"of": "jobs"} | asked.model_dump(exclude={"limit", "cursor"})
    page = cursors.page(question, asked.limit, asked.cursor)
    found = await run_in_threadpool(
        airflow_jobs.list_jobs, dags, asked.state, page.before, page.rows
    )
    shown, following = page.cut(found, lambda each: (each.number,))
    return JobPage(jobs=[each.job for each in shown], next_cursor=following)


@router.get("/{job_id}", response_model=JobDetails, responses={404: {"description": "None such."}})
async def read_job(job_id: JobIdPath, access: AccessDep) -> JobDetails:
    """Read a job's state and progress."""
    return await _read(job_id, access)


@router.get(
    "/{job_id}/events",
    response_class=EventResponse,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
        404: {"description": "None such."},
    },
)
async def follow_job(job_id: JobIdPath, access: AccessDep, services: ServicesDep) -> Response:
    """Follow a job by server-sent events.

    `job` comes at once and with each change, at most every 2 s; its data are those of `GET
    jobs/{job_id}`. `end` comes when the job has ended: then close. Without an end the stream closes
    after 25 s: connect again, as a browser's `EventSource` does by itself.
    """
    await _read(job_id, access)
    return EventResponse(services.progress.stream_job(job_id))


@router.patch("/{job_id}", response_model=JobDetails, **_ACTING)
async def act(job_id: JobIdPath, asked: JobAct, request: Request, access: AccessDep) -> JobDetails:
    """Pause a job, resume it, or try it again where it has failed.

    `pause` keeps what is finished; what runs is finished, too, or ended with `now`, which frees
    its slot and the GPU. `retry` runs failed tasks again and all that follow them, nothing else;
    where a deletion of documents or `housekeeping` has removed what these read, it begins with the
    task that makes it. With `from` it begins with that task, or is refused.
    """
    _refuse_pair(asked)
    job, actor = await _to_act(job_id, request, access)
    _refuse_state(job, asked.action if asked.from_task is None else "retry from")
    if asked.from_task is not None and job.dag_id == ALL_LEVELS_DAG:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"`from` names a task of a level's job, and {job.job_id} is of all levels.",
        )
    run = Run(job.dag_id, job.dag_run_id)
    if asked.action == "pause":
        await actor.pause(run, now=asked.now)
    elif asked.action == "resume":
        await actor.resume(run)
    else:
        await actor.retry(run, asked.from_task)
    return await _read(job_id, access)


@router.delete("/{job_id}", response_model=JobDetails, **_ACTING)
async def cancel(job_id: JobIdPath, request: Request, access: AccessDep) -> JobDetails:
    """Cancel a job for good: its tasks are ended, and nothing of it is published.

    Its run is marked as failed in Airflow. Asking again changes nothing.
    """
    job, actor = await _to_act(job_id, request, access)
    if job.state != "canceled":
        _refuse_state(job, "cancel")
        await actor.cancel(Run(job.dag_id, job.dag_run_id))
    return await _read(job_id, access)


async def _to_act(job_id: str, request: Request, access: Access) -> tuple[JobDetails, Actor]:
    """Read a job for a user who may act on it.

    Raises:
        ProblemError: 404, 403.
    """
    job = await _read(job_id, access)
    await access.check_act(job.dag_id)
    return job, Actor(lent(request.scope), access.user.get_name())


def _refuse_pair(asked: JobAct) -> None:
    wrong = None
    if asked.now and asked.action != "pause":
        wrong = "`now` goes with `pause` alone."
    elif asked.from_task is not None and asked.action != "retry":
        wrong = "`from` goes with `retry` alone."
    elif asked.from_task not in (None, *LEVEL_TASKS):
        wrong = f"`from` is none of {', '.join(LEVEL_TASKS)}."
    if wrong is not None:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, wrong)


def _refuse_state(job: JobDetails, action: str) -> None:
    if job.state not in _ACTS[action]:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"Job {job.job_id} is {job.state}: {action} takes a job that is "
            f"{' or '.join(_ACTS[action])}. {_ADVICE.get(job.state, '')}".rstrip(),
        )


async def _read(job_id: str, access: Access) -> JobDetails:
    dags = await access.readable_jobs()
    # Not to be told from a job that does not exist.
    job = None
    if job_id.partition(".")[0] in dags:
        job = await run_in_threadpool(airflow_jobs.read_job, job_id)
    if job is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, f"No job {job_id} that you may read: `GET jobs` lists them."
        )
    return job
