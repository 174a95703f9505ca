"""Tasks that run in the Airflow worker, one module per DAG."""

from clustering_tasks.steps import STEPS

# The tasks of a level's DAG, in their order.
LEVEL_TASKS = (
    "check_stage3",
    *(step.name for step in STEPS),
    "load_postgres",
    "publish",
    "notify_stage5",
)
ALL_PARTS = "all_parts"  # stands beside the others: it fails with a part
