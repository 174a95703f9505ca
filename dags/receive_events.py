"""
### Events from Stage 3

Decides which runs the events of Stage 3 start: those of its stream of Redis, of its webhook, and
those on the assets `x-stage3://<level>`. It runs at each of them, and every five minutes for what
was missed. Each event is for exactly one run; events during a run are for one following run.

| task | does |
|---|---|
| `request_runs` | takes the events of the assets, and decides for each level with events that wait |
| `start` | makes each run in Airflow that was decided for and is not there; one that is there is skipped |

The stream is read by a trigger of this DAG in the triggerer (`STAGE4_STAGE3_STREAM_CONN_ID`), as
long as this DAG is not paused. docs/EVENTS.md has the rest.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import receive_events_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
receive_events = receive_events_dag(__doc__)
