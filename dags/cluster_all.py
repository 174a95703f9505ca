"""
### Clusters of all levels

Runs `cluster_documents`, `cluster_events`, `cluster_entities` and `cluster_storylines` in parallel
and waits for them. A failed level does not stop the others; this run then fails at its end.

`check_settings` reads a conf like `{"common": {"label.keywords": 5}, "events": {"scope":
"domain"}}`: a level's own settings override the common ones. It checks the settings of all levels
before the first level starts.

The levels' runs have the ids `<this run's id>__<level>`. Clearing a task here runs its level again.
"""

from stage4.dag_factory import all_levels_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
cluster_all = all_levels_dag(__doc__)
