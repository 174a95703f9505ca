"""
### Clusters of one level

Reads Stage 3's vectors of the level, clusters and labels them, loads the clusters into PostgreSQL
and publishes them there and as JSONL.

| task | does |
|---|---|
| `check_stage3` | checks settings, files and, where a URL is set, Stage 3's health and counts |
{steps}
| `load_postgres` | loads the rows; nobody sees them yet |
| `publish` | behind the quality gate: readers of PostgreSQL and JSONL move to this run |
| `notify_stage5` | tells Stage 5 |
| `all_parts` | does nothing, and fails with a failed part |

**Start it** by the form (*Trigger*), by its schedule, by an event on the asset `stage3_<level>`, or
by REST: `POST /api/v2/dags/cluster_<level>/dagRuns` with
`{"logical_date": null, "conf": {"hdbscan": {"min_cluster_size": 8}}}`; dotted names do as well.
Unknown or wrong settings end the run at once.

**When it fails**, the log of the failed task ends with what happened and what to do. Bad input and
wrong settings are not tried again; what may pass is, with growing pauses. Until `publish` succeeds,
readers see the previous run. Clearing the failed task with its downstream tasks repeats only what
is missing.

**When a part fails**, the others keep their work. `merge` refuses to go on without it, unless the
run has `scope=domain` and `allow_partial`: then the rest is published, the missing items count
as unassigned, and the run is still shown as failed (`all_parts`). Clear the part with its
downstream tasks to make the run whole.

**Skipped tasks**: `publish` when a run for a later moment is published already (an old run was
cleared); `notify_stage5` when no Stage 5 is configured, when nothing was published, or when an
optional Stage 5 did not take the event. The last lines of the log say which.
"""

from clustering_tasks.settings.levels import LEVELS
from stage4.dag_factory import level_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
for level in LEVELS.values():
    globals()[f"cluster_{level.name}"] = level_dag(level, __doc__)
