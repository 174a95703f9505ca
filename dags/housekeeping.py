"""
### Housekeeping

Once a day, removes what is older than `STAGE4_RETENTION_DAYS`.

| task | does |
|---|---|
| `prune_<level>` | removes old runs from PostgreSQL, with their JSONL; the published run and the one before it stay |
| `clean_workspace` | removes folders of runs that are gone, artefacts that no run refers to, and what killed tasks have left; above `STAGE4_WORKSPACE_LIMIT_BYTES` artefacts go in the order of their last use |

What was used within two days stays. Safe to repeat. Without PostgreSQL nothing is removed.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import housekeeping_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
housekeeping = housekeeping_dag(__doc__)
