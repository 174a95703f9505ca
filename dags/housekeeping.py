"""
### Housekeeping

Once a day, removes runs and artefacts older than `STAGE4_RETENTION_DAYS`.

| task | does |
|---|---|
| `prune_<level>` | removes old runs from PostgreSQL, with their JSONL, and old events; the published run and the one before it stay |
| `clean_workspace` | removes folders of removed runs, artefacts without a run, and remains of killed tasks; above `STAGE4_WORKSPACE_LIMIT_BYTES` it removes artefacts, the least recently used first |

Artefacts used within two days stay, and all that a run has done which is not over. Safe to repeat. Without PostgreSQL nothing is removed.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import housekeeping_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
housekeeping = housekeeping_dag(__doc__)
