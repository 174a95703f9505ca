"""
### Clusters of all levels

Runs `cluster_documents`, `cluster_events`, `cluster_entities` and `cluster_storylines` side by side
and waits for them. A level that fails does not stop the others; this run then fails at its end.

`check_settings` reads a conf like `{"common": {"hdbscan.min_samples": 2}, "events": {"scope":
"domain"}}`: a level gets what is common, overridden by its own. The settings of all levels are
checked before the first one starts.

The levels' runs are called `<this run's id>__<level>`. Clearing a task here runs its level again.
"""

from stage4.dag_factory import all_levels_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
cluster_all = all_levels_dag(__doc__)
