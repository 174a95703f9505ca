"""Events to receivers outside as readers ask for them."""

from dataclasses import dataclass

from stage4.api.pool import Reader, Row, read_rows

_LIST = """
SELECT number, event_id::text, outbox.job_id, level, sequence, type, created_at, data, (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'receiver', receiver, 'state', deliveries.state, 'attempts', attempts,
        'last_error', last_error, 'delivered_at', delivered_at,
        'next_attempt_at', CASE WHEN deliveries.state = 'pending' THEN next_attempt_at END
    ) ORDER BY receiver), '[]')
    FROM stage4.deliveries WHERE deliveries.number = outbox.number
) AS deliveries
FROM stage4.outbox JOIN stage4.event_jobs USING (job_id)
WHERE level = ANY(%(levels)s)
AND (%(job_id)s::text IS NULL OR outbox.job_id = %(job_id)s)
AND (%(state)s::text IS NULL AND %(receiver)s::text IS NULL OR EXISTS (
    SELECT FROM stage4.deliveries wanted WHERE wanted.number = outbox.number
    AND (%(state)s::text IS NULL OR wanted.state = %(state)s)
    AND (%(receiver)s::text IS NULL OR wanted.receiver = %(receiver)s)
))
AND (%(before)s::bigint IS NULL OR number < %(before)s)
ORDER BY number DESC LIMIT %(limit)s
"""
_QUEUES = """
SELECT receiver, count(*) FILTER (WHERE deliveries.state = 'pending') AS pending,
    count(*) FILTER (WHERE deliveries.state = 'given_up') AS given_up,
    min(created_at) FILTER (WHERE deliveries.state = 'pending') AS oldest_pending_at,
    coalesce(max(failures), 0) AS failures, max(retry_at) AS retry_at,
    coalesce(
        max(event_receivers.last_error),
        (array_agg(deliveries.last_error ORDER BY number DESC)
            FILTER (WHERE deliveries.last_error IS NOT NULL))[1]
    ) AS last_error
FROM stage4.deliveries JOIN stage4.outbox USING (number)
LEFT JOIN stage4.event_receivers USING (receiver)
WHERE deliveries.state IN ('pending', 'given_up') GROUP BY receiver ORDER BY receiver
"""


@dataclass(frozen=True)
class Wanted:
    """Which events.

    Attributes:
        levels: plural names.
        job_id: None: of all jobs.
        state: of a delivery; None: any.
        receiver: of a delivery; None: any.
    """

    levels: list[str]
    job_id: str | None = None
    state: str | None = None
    receiver: str | None = None


async def list_events(
    connection: Reader, wanted: Wanted, *, before: int | None, limit: int
) -> list[Row]:
    """Read events, newest first.

    Args:
        connection: to read from.
        wanted: which.
        before: only those with a lesser number.
        limit: most rows.
    """
    return await read_rows(connection, _LIST, vars(wanted) | {"before": before, "limit": limit})


async def read_queues(connection: Reader) -> list[Row]:
    """Count what each receiver has not taken."""
    return await read_rows(connection, _QUEUES)
