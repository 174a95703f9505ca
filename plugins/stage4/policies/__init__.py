"""Cluster policies: what Airflow calls when the task instances of a run are made."""

from airflow import settings

from stage4.policies.large_integers import LargeIntegers
from stage4.policies.part_names import PartNames


def register() -> None:
    """Add the policies to Airflow's own ones, once in a process."""
    manager = settings.get_policy_plugin_manager()
    for policy in (PartNames, LargeIntegers):
        if not manager.is_registered(policy):
            manager.register(policy)
    # Airflow looked for policies before it loaded plugins. While this says that there are none, it
    # makes a new run's instances without them.
    settings.task_instance_mutation_hook.is_noop = False  # type: ignore[attr-defined]
