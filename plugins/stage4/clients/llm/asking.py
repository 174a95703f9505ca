"""Asking all questions of a run, within its limits; a question that fails fails nothing else."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
import tenacity
from upath import UPath

from clustering_tasks.llm.answers import (
    Answer,
    Asked,
    Ending,
    find_answer,
    keep_answer,
    read_spent,
    request_digest,
    write_asked,
)
from clustering_tasks.llm.labels import as_label, names_are_said
from clustering_tasks.llm.questions import Question
from clustering_tasks.settings.groups.meaning import LlmSettings
from stage4.clients.llm.limits import Budget, OverBudgetError, Pace
from stage4.clients.llm.model import (
    FailedError,
    Model,
    ModelError,
    Reply,
    TimedOutError,
    UnreadableError,
    ask,
    new_client,
    read_model,
)

TRIES = 3
_PATIENCE = 6  # questions that failed one after the other, from which on the model is away
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_POLL_SECONDS = 0.5
_REFUSED: frozenset[Ending] = frozenset({"unreadable", "invented"})

log = structlog.get_logger()


@dataclass(frozen=True)
class RunOfLevel:
    """The run whose clusters are asked about."""

    workspace: UPath
    level: str
    job_id: str

    @property
    def folder(self) -> UPath:
        """Of the run."""
        return self.workspace / self.level / "runs" / self.job_id


def ask_all(
    run: RunOfLevel,
    conn_id: str,
    settings: LlmSettings,
    questions: Sequence[Question],
    left_out: int = 0,
    stopping: Callable[[], bool] = lambda: False,
) -> Asked:
    """Ask what no run has asked before, and record how every question ended.

    Args:
        run: its folder gets the record.
        conn_id: of the Airflow connection.
        settings: of the run.
        questions: the most important first.
        left_out: clusters that there is no question about, because the budget has no room.
        stopping: whether the task is being ended.
    """
    try:
        model = read_model(conn_id)
    except ModelError as error:
        log.error("no language model can be asked: labels are local", why=str(error))  # noqa: TRY400
        endings: dict[Ending, int] = {"given_up": len(questions), "over_budget": left_out}
        return write_asked(run.folder, None, endings, {}, read_spent(run.folder))
    asking = _Asking(run, model, settings)
    asyncio.run(asking.ask_all(questions, stopping))
    return asking.record(questions, left_out)


@dataclass
class _Asking:
    run: RunOfLevel
    model: Model
    settings: LlmSettings
    budget: Budget = field(init=False)
    pace: Pace = field(init=False)
    endings: dict[str, Ending] = field(default_factory=dict)
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    failures: int = 0  # one after the other

    def __post_init__(self) -> None:
        chosen, folder = self.settings, self.run.folder
        spent = read_spent(folder)
        self.budget = Budget(folder, chosen.max_requests, chosen.max_tokens, spent)
        self.pace = Pace(60 / chosen.requests_per_minute)

    async def ask_all(self, questions: Sequence[Question], stopping: Callable[[], bool]) -> None:
        waiting = iter([each for each in questions if not self._is_known(each)])
        parallel = self.settings.parallel_requests
        end = asyncio.get_running_loop().time() + self.settings.max_minutes * 60
        async with new_client(parallel) as client:
            workers = {asyncio.create_task(self._work(client, waiting)) for _ in range(parallel)}
            try:
                while workers and not stopping() and asyncio.get_running_loop().time() < end:
                    done, workers = await asyncio.wait(
                        workers, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    for worker in done:
                        worker.result()  # a full disk, and our own mistakes, fail the task
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def record(self, questions: Sequence[Question], left_out: int) -> Asked:
        """Record how each question ended; what nobody asked was beyond the budget."""
        otherwise: Ending = "given_up" if self._is_away else "over_budget"
        endings = Counter(self.endings.get(each.cluster_id, otherwise) for each in questions)
        endings["over_budget"] += left_out
        refused = {name: each for name, each in self.endings.items() if each in _REFUSED}
        asked = write_asked(
            self.run.folder, self.model.name, endings, self.answers, self.budget.spent, refused
        )
        counts = {str(ending): count for ending, count in endings.items()}
        log.info("a language model was asked for labels", **counts, **asked.spent.model_dump())
        return asked

    @property
    def _is_away(self) -> bool:
        return self.failures >= _PATIENCE

    def _is_known(self, question: Question) -> bool:
        """Take an answer that was given before: this run's own stays an answer of this run."""
        digest = request_digest(self.model.request(question.messages()))
        answer = find_answer(self.run.workspace, self.run.level, digest)
        if answer is None:
            return False
        own = answer.job_id == self.run.job_id
        self.endings[question.cluster_id] = "answered" if own else "cached"
        self.answers[question.cluster_id] = (digest, answer.label)
        return True

    async def _work(self, client: httpx.AsyncClient, waiting: Iterator[Question]) -> None:
        for question in waiting:
            if self._is_away:
                return
            try:
                self.endings[question.cluster_id] = await self._ending(client, question)
            except OverBudgetError:
                return

    async def _ending(self, client: httpx.AsyncClient, question: Question) -> Ending:
        request = self.model.request(question.messages())
        try:
            reply = await self._ask(client, request)
        except (FailedError, TimedOutError) as error:
            self.failures += 1
            log.warning("a question was not answered", url=self.model.url, why=str(error))
            return "failed" if isinstance(error, FailedError) else "timed_out"
        except UnreadableError as error:
            self.failures = 0
            log.warning("an answer is not what was asked for", why=str(error))
            return "unreadable"
        self.failures = 0
        return self._take(question, request_digest(request), reply)

    def _take(self, question: Question, digest: str, reply: Reply) -> Ending:
        label = as_label(reply.label)
        if label is None:
            return "unreadable"
        if not names_are_said(label, question.texts):
            return "invented"
        answer = Answer(label=label, job_id=self.run.job_id, sources=question.sources)
        keep_answer(self.run.workspace, self.run.level, digest, answer)
        self.answers[question.cluster_id] = (digest, label)
        return "answered"

    async def _ask(self, client: httpx.AsyncClient, request: Mapping[str, Any]) -> Reply:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(_FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=tenacity.stop_after_attempt(TRIES),
            reraise=True,
        )
        reply: Reply = await retrying(self._ask_once, client, request)
        return reply

    async def _ask_once(self, client: httpx.AsyncClient, request: Mapping[str, Any]) -> Reply:
        await self.pace.turn()
        aside = self.model.most_tokens(request)
        self.budget.take(aside)
        try:
            reply = await ask(client, self.model, request, self.settings.timeout_seconds)
        except FailedError as error:
            self.budget.settle(aside, 0)
            self.pace.hold(error.wait)
            raise
        except UnreadableError as error:
            self.budget.settle(aside, error.tokens)
            raise
        self.budget.settle(aside, reply.tokens)
        return reply


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, FailedError) and error.may_pass
