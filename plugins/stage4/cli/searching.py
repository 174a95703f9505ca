"""Searching several levels at once."""

from collections.abc import Sequence
from typing import Any

from clustering_tasks.settings.levels import LEVELS
from stage4.cli.errors import DeniedError, MissingError
from stage4.cli.server import STAGE4, Server

Json = dict[str, Any]


def search(
    server: Server, text: str, levels: Sequence[str], *, domain: str | None, limit: int
) -> list[Json]:
    """Search by words.

    Args:
        server: to ask.
        text: words, quoted phrases, words with a minus; the last word may be a beginning.
        levels: those to search; empty: all that the user may read and that have a published run.
        domain: only clusters of it; None: any.
        limit: most clusters of a level.

    Returns:
        An answer of the API for each level.

    Raises:
        CommandError: a level that was asked for cannot be searched, or none can.
    """
    wanted = {"text": text, "limit": limit} | ({"domain": domain} if domain else {})
    found, refused = list[Json](), list[MissingError | DeniedError]()
    for level in levels or LEVELS:
        try:
            found.append(server.post(f"{STAGE4}/clusters/search", {"level": level} | wanted))
        except (MissingError, DeniedError) as error:
            if levels:
                raise
            refused.append(error)
    if not found:
        raise refused[0]
    return found
