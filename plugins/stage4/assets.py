"""The assets by which the DAGs of Stage 3, 4 and 5 find each other."""

from collections.abc import Sequence

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from clustering_tasks.settings.levels import Level

# Stands for the asset of the level that a run of the DAG `roll_back` is about.
ROLLED_BACK = AssetAlias("stage4_rolled_back", group="stage4")


def stage3_asset(level: Level) -> Asset:
    """Name what Stage 3 delivers for a level; an event on it starts the level's DAG.

    Its `extra` may have `total_embeddings`. The DAG `receive_events` starts the run.
    """
    return Asset(name=f"stage3_{level.name}", uri=f"x-stage3://{level.name}", group="stage3")


def clusters_asset(level: Level) -> Asset:
    """Name a level's published clusters; each publication, a roll-back too, is an event.

    Its `extra`: `job_id`, `counts`; of a roll-back also `act`.
    """
    return Asset(name=f"stage4_{level.name}", uri=f"x-stage4://{level.name}", group="stage4")


def stored_events_asset(watchers: Sequence[AssetWatcher]) -> Asset:
    """Name the events of Stage 3 that the reader of its stream has stored.

    Args:
        watchers: the reader, where the installation has a stream.
    """
    return Asset(
        name="stage3_stored_events",
        uri="x-stage4://stage3_events",
        group="stage4",
        watchers=[*watchers],
    )
