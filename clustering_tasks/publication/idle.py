"""Settings that have no effect in a run, before it starts and in its report."""

from clustering_tasks.algorithms.method import LARGE, resolve_method
from clustering_tasks.settings.idle import Circumstances, IdleSetting, idle_settings
from clustering_tasks.settings.levels import Level
from clustering_tasks.settings.run import RunSettings


def idle_before(
    settings: RunSettings,
    level: Level,
    items: int | None,
    *,
    database: bool = True,
    map: bool = True,  # noqa: A002 - the step's name
    llm: bool = True,
) -> list[IdleSetting]:
    """List the settings that will have no effect, as far as is known before the run.

    Args:
        settings: of the run.
        level: of the run.
        items: of the level; None: not known, then `auto` may take either of its algorithms.
        database: whether the run is to be loaded into the database.
        map: whether the run is to draw the map.
        llm: whether a language model can be asked.

    Raises:
        SettingsError: a filter is set that none of the level's items can pass.
    """
    counts = (LARGE, LARGE + 1) if items is None else (items,)
    taken = (resolve_method(settings, level, count).algorithm for count in counts)
    return idle_settings(
        settings,
        *(
            Circumstances(level, algorithm, items, database=database, map=map, llm=llm)
            for algorithm in dict.fromkeys(taken)
        ),
    )
