"""
### Events to receivers outside

Sends what is in the outbox (`stage4.outbox`) to the webhooks and streams of
`STAGE4_EVENT_RECEIVERS`, and to the `callback_url` of runs: once a minute, and at once when a level
is published. Without a receiver it has no schedule.

| task | does |
|---|---|
| `send_events` | notes how far the jobs are, sends what is due, and goes on for up to 50 s while jobs run or events wait |

A receiver that is away fails nothing: its events wait, and are tried again for
`STAGE4_EVENT_HOURS`. What was given up is kept: `stage4 events list`, `stage4 events resend`.
docs/EVENTS.md has the rest.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import send_events_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
send_events = send_events_dag(__doc__)
