"""The assets by which the DAGs of Stage 3, 4 and 5 find each other."""

from airflow.sdk import Asset

from clustering_tasks.levels import Level


def stage3_asset(level: Level) -> Asset:
    """Name what Stage 3 delivers for a level; an event on it starts the level's DAG."""
    return Asset(name=f"stage3_{level.name}", uri=f"x-stage3://{level.name}", group="stage3")


def clusters_asset(level: Level) -> Asset:
    """Name a level's published clusters; each publication is an event with job id and counts."""
    return Asset(name=f"stage4_{level.name}", uri=f"x-stage4://{level.name}", group="stage4")
