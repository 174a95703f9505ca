"""Which table a run is read from: a name of the installation's list."""

from collections.abc import Mapping
from dataclasses import dataclass

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.settings.source_tables import SourceTable, defaults

Tables = Mapping[str, SourceTable]


@dataclass(frozen=True)
class Chosen:
    """A listed table, by its name."""

    name: str
    table: SourceTable


def chosen_table(settings: RunSettings, level: str, tables: Tables) -> Chosen | None:
    """Find the table that a run is to be read from; None: Stage 3's folder.

    Args:
        settings: of the run.
        level: plural name.
        tables: that the installation lists.

    Raises:
        SettingsError: the run names no listed table of its level, or none where several are.
    """
    wanted = settings.input
    usual = defaults(tables.items(), level)
    if wanted.source == "stage3" or (wanted.source == "auto" and not usual):
        return None
    of_level = [name for name, table in tables.items() if table.level == level]
    names = [wanted.table] if wanted.table is not None else usual or of_level
    if len(names) != 1 or names[0] not in of_level:
        raise SettingsError(_refusal(wanted.table, level, of_level))
    return Chosen(names[0], tables[names[0]])


def with_choice(settings: RunSettings, chosen: Chosen | None) -> RunSettings:
    """Write the table into a run's settings, so that its report names it."""
    if chosen is None:
        return settings
    own = {"source": "postgres", "table": chosen.name}
    return settings.model_copy(update={"input": settings.input.model_copy(update=own)})


def _refusal(wanted: str | None, level: str, of_level: list[str]) -> str:
    problem = (
        "input.source=postgres: name the table in input.table"
        if wanted is None
        else f"input.table={wanted!r} is none that STAGE4_SOURCE_TABLES lists for {level}"
    )
    known = ", ".join(of_level) or "none"
    return f"settings refused:\n  - {problem}; listed for {level}: {known}"
