"""What bounds the requests of a run: a budget, and their pace."""

import asyncio
from dataclasses import dataclass, field

from upath import UPath

from clustering_tasks.llm.answers import Spent, write_spent


class OverBudgetError(Exception):
    """A run has used up its requests or tokens."""


@dataclass
class Budget:
    """What a run may use up, over all tries: each request is written down before it is sent.

    Attributes:
        folder: of the run.
        max_requests: see `LlmSettings`.
        max_tokens: the same.
        spent: so far; with what is set aside for requests that are under way.
    """

    folder: UPath
    max_requests: int
    max_tokens: int
    spent: Spent

    def take(self, tokens: int) -> None:
        """Take a request, and set aside its largest possible number of tokens.

        Raises:
            OverBudgetError: there is not as much left.
        """
        spent = self.spent
        if spent.requests >= self.max_requests or spent.tokens + tokens > self.max_tokens:
            raise OverBudgetError
        self._write(Spent(requests=spent.requests + 1, tokens=spent.tokens + tokens))

    def settle(self, aside: int, used: int | None) -> None:
        """Replace what was set aside for a request by what it used; None: it is not known."""
        if used is not None:
            tokens = max(0, self.spent.tokens - aside + used)
            self._write(self.spent.model_copy(update={"tokens": tokens}))

    def _write(self, spent: Spent) -> None:
        write_spent(self.folder, spent)
        self.spent = spent


@dataclass
class Pace:
    """Spreads requests over time.

    Attributes:
        seconds: between the starts of two requests.
    """

    seconds: float
    _next: float = field(default=0.0, init=False)

    async def turn(self) -> None:
        """Wait until the next request may start."""
        now = asyncio.get_running_loop().time()
        start = max(self._next, now)
        self._next = start + self.seconds
        await asyncio.sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let no request start for some seconds."""
        self._next = max(self._next, asyncio.get_running_loop().time() + seconds)
