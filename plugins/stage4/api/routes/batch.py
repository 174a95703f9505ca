"""`batch`: starting a job; it is a run of the level's DAG, and waits for its turn there."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool

from clustering_tasks.errors import SettingsError
from stage4.api import airflow_jobs, problems
from stage4.api.airflow_app import lent
from stage4.api.job_acts import Actor
from stage4.api.job_settings import problems_of
from stage4.api.models.jobs import NewJob, Submitted
from stage4.api.problems import AnswerError, Violation
from stage4.api.security import AccessDep, own_page
from stage4.conf import CALLBACK_URL, callback_url
from stage4.events.callbacks import check_callback
from stage4.job_ids import dag_of, job_id

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
    conf = new.settings | ({} if new.callback_url is None else {CALLBACK_URL: new.callback_url})
    await access.check_write(new.level)
    await _check(new, conf, request)
    actor = Actor(lent(request.scope), access.user.get_name())
    run, created = await actor.submit(dag_of(new.level), conf, new.idempotency_key)
    job = await run_in_threadpool(airflow_jobs.read_job, job_id(run.dag, run.run_id))
    assert job is not None  # noqa: S101 - Airflow has just named it
    return Submitted(**job.model_dump(), created=created, conf=conf)


async def _check(new: NewJob, conf: dict[str, Any], request: Request) -> None:
    wrong = await run_in_threadpool(problems_of, new.level, new.settings)
    violations = [Violation(where="body.settings", message=line) for line in wrong]
    violations += await _of_callback(callback_url(conf))
    if violations:
        raise AnswerError(
            problems.respond(
                request,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The job is refused; `errors` names everything that is wrong.",
                violations=violations,
            )
        )


async def _of_callback(url: str | None) -> list[Violation]:
    try:
        await check_callback(url)
    except SettingsError as error:
        return [Violation(where="body.callback_url", message=str(error))]
    return []
