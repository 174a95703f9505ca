"""
### Roll-back

Publishes an earlier run of a level again, when the present one should not have been published.
Start it by the form (*Trigger*), or by REST: `POST /api/v2/dags/roll_back/dagRuns` with
`{"logical_date": null, "conf": {"level": "events", "load_id": 17}}`. Without a `load_id` it takes
the newest published run before the present one. `GET /stage4/api/v1/runs?level=events` lists runs
with their numbers; a run in state `loaded` was never published, and is refused.

| task | does |
|---|---|
| `choose_run` | fixes the run, so that a retry goes no further back |
| `roll_back` | moves readers of PostgreSQL and JSONL to it; the asset `stage4_<level>` gets an event |
| `notify_stage5` | sends Stage 5 the event of a publication, with `act` and a key of its own |
| `write_back` | writes the clusters to the table that the run was read from |

The level's next run is published as usual. A repetition for the same run moves nothing, and sends
all events again. While Airflow is down: `python -m stage4.database.roll_back`; it sends no event.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import roll_back_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
roll_back = roll_back_dag(__doc__)
