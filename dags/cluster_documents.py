"""`cluster_documents`, in a file of its own: a wrong setting of one level stops no other."""

from clustering_tasks.settings.levels import LEVELS
from stage4.dag_factory import level_dag
from stage4.tasks.level_page import PAGE

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
cluster_documents = level_dag(LEVELS["documents"], PAGE)
