"""`batch`: starting a job; it is a run of the level's DAG, and waits for its turn there."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool

from stage4.api import airflow_jobs, problems
from stage4.api.airflow_app import lent
from stage4.api.job_acts import Actor
from stage4.api.job_settings import problems_of
from stage4.api.models.jobs import NewJob, Submitted
from stage4.api.problems import AnswerError, Violation
from stage4.api.security import Access, AccessDep, dag_id, own_page
from stage4.job_ids import job_id

router = APIRouter(tags=["jobs"])


@router.post(
    "/batch",
    response_model=Submitted,
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(own_page)],
    responses={
        409: {"description": "The key was submitted with another level or other settings."},
        502: {"description": "Airflow failed."},
    },
)
async def submit(new: NewJob, request: Request, access: AccessDep) -> Submitted:
    """Start a job of a level, or of all levels.

    Jobs of one level run one after another, in the order in which they were submitted. All that is
    wrong with the settings is named in `errors`, and nothing is started then.
    """
    await _check(new, request, access)
    actor = Actor(lent(request.scope), access.user.get_name())
    run, created = await actor.submit(dag_id(new.level), new.settings, new.idempotency_key)
    job = await run_in_threadpool(airflow_jobs.read_job, job_id(run.dag, run.run_id))
    assert job is not None  # noqa: S101 - Airflow has just named it
    return Submitted(**job.model_dump(), created=created, conf=new.settings)


async def _check(new: NewJob, request: Request, access: Access) -> None:
    await access.check_write(new.level)
    if wrong := await run_in_threadpool(problems_of, new.level, new.settings):
        violations = [Violation(where="body.settings", message=line) for line in wrong]
        raise AnswerError(
            problems.respond(
                request,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The settings are refused; `errors` names everything that is wrong.",
                violations=violations,
            )
        )
