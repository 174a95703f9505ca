"""Reading a DAG run's conf: what a caller chose, by form, REST or `cluster_all`."""

from collections.abc import Iterator, Mapping
from typing import Any

from clustering_tasks.algorithms.method import refuse_filters
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.dotted import dotted, nested
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.renamed import with_current_names
from clustering_tasks.settings.run import run_settings

COMMON = "common"
CALLBACK_URL = "callback_url"  # key of a conf: the run's own receiver of events

# TriggerDagRunOperator adds this to any run's conf where OpenLineage is in use.
_ADDED_BY_AIRFLOW = frozenset({"openlineage"})


def chosen(conf: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings that the caller put into a run's conf, without what Airflow added."""
    no_settings = _ADDED_BY_AIRFLOW | {CALLBACK_URL}
    return {name: value for name, value in (conf or {}).items() if name not in no_settings}


def callback_url(conf: Mapping[str, Any] | None) -> str | None:
    """Return the address that the caller wants events of the run at; None: there is none."""
    url = (conf or {}).get(CALLBACK_URL)
    return None if url is None else str(url)


def conf_of_levels(conf: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Split the conf of `cluster_all`: each level gets `common`, overridden by its own.

    Args:
        conf: `{"common": {...}, "events": {...}}`, with dotted or nested names inside.

    Returns:
        Level to nested settings, for all levels.

    Raises:
        SettingsError: naming every unknown key and everything that a level would refuse.
    """
    groups = nested(chosen(conf))
    problems = list(_misplaced(groups))
    if not problems:
        current, problems = _with_current_names(groups)
        levels = {level: _overridden(current[COMMON], current[level]) for level in LEVELS}
        problems += _refused(levels)
    if problems:
        raise SettingsError("\n".join(problems))
    return levels


def _misplaced(groups: Mapping[str, Any]) -> Iterator[str]:
    known = (COMMON, *LEVELS)
    for name, group in groups.items():
        if name not in known:
            yield f"{name}: neither a level nor `{COMMON}`; known are {', '.join(known)}"
        elif not isinstance({} if group is None else group, Mapping):
            yield f"{name}: takes an object with settings (got {group!r})"


def _with_current_names(groups: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Rename in each group by itself, so that a level's own value overrides the common one."""
    renamed = {name: with_current_names(groups.get(name) or {}) for name in (COMMON, *LEVELS)}
    problems = [f"{name}: {line}" for name, (_, lines) in renamed.items() for line in lines]
    return {name: settings for name, (settings, _) in renamed.items()}, problems


def _refused(levels: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for level, settings in levels.items():
        try:
            refuse_filters(run_settings(settings), LEVELS[level])
        except SettingsError as error:
            yield f"{level}: {error}"


def _overridden(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return nested(dict(dotted(common)) | dict(dotted(own)))
