"""
### Clusters of one level

Reads Stage 3's vectors of the level, clusters and labels them, loads the clusters into PostgreSQL
and publishes them there and as JSONL.

| task | does |
|---|---|
| `check_stage3` | checks settings, files and, where a URL is set, Stage 3's health and counts; exports a table |
{steps}
| `load_postgres` | loads the rows, not yet visible to readers |
| `publish` | checks the quality gate; then readers of PostgreSQL and JSONL see this run |
{sinks}
| `all_parts` | does nothing, and fails with a failed part |

**Start it** by the form (*Trigger*), by its schedule, by an event on the asset `stage3_<level>`, or
by REST: `POST /api/v2/dags/cluster_<level>/dagRuns` with
`{"logical_date": null, "conf": {"outliers": {"policy": "nearest"}}}`; dotted names are valid, too.
Unknown or wrong settings end the run at once; the log of `check_stage3` names each chosen setting
that has no effect, with the reason.

**When it fails**, the log of the failed task ends with the cause and the remedy. Airflow does not
retry bad input and wrong settings. It retries transient errors, with growing pauses. Until
`publish` succeeds, readers see the previous run. Clearing the failed task with its downstream tasks
repeats only the missing steps.

**When a part fails**, the others keep their work. `merge` refuses to continue without it, unless
the run has `scope=domain` and `allow_partial`. Then the rest is published, the missing items count
as unassigned, and the run is still shown as failed (`all_parts`). Clear the part with its
downstream tasks to complete the run.

**Skipped tasks**: `publish` if a run for a later moment is published already (an old run was
cleared); `notify_stage5` if no Stage 5 is configured, if nothing was published, or if an optional
Stage 5 did not accept the event; `write_back` if the run was not read from a table. The last lines of the log give the reason.
"""  # noqa: E501 - a row of a table

PAGE = __doc__ or ""
