"""Which items of a level a run is about (IN-10); the others never become nodes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustering_tasks.arrays import Mask
from clustering_tasks.settings.groups.source import FilterSettings
from clustering_tasks.settings.levels import UNKNOWN_DOMAIN
from clustering_tasks.stage3.fields import normal_kind

COLUMNS = ("document_id", "domain", "event_type", "entity_type", "start_time", "end_time")


def kept_rows(items: pd.DataFrame, settings: FilterSettings) -> Mask:
    """Tell which items pass every filter that is set: (n,).

    Args:
        items: the snapshot's rows, with `COLUMNS`, kinds in normal form; a missing domain counts
            as general news, as it does in the parts.
        settings: of the run.
    """
    kept = np.ones(len(items), dtype=bool)
    for passed in _passed(items, settings):
        kept &= passed
    return kept


def _passed(items: pd.DataFrame, settings: FilterSettings) -> Iterator[Mask]:
    if settings.domains is not None:
        domain = items["domain"].fillna(UNKNOWN_DOMAIN)
        yield domain.isin(settings.domains).to_numpy(bool)
    if settings.document_ids is not None:
        yield items["document_id"].isin(settings.document_ids).to_numpy(bool)
    for column, wanted in (
        ("event_type", settings.event_types),
        ("entity_type", settings.entity_types),
    ):
        if wanted is not None:
            names = [normal_kind(column, name) for name in wanted]
            yield items[column].isin(names).to_numpy(bool)
    if settings.since is not None or settings.until is not None:
        yield _in_time(items, settings)


def _in_time(items: pd.DataFrame, settings: FilterSettings) -> Mask:
    """An item's span touches the window; an undated one is in it or not as the caller says."""
    inside = np.ones(len(items), dtype=bool)
    if settings.since is not None:
        inside &= (items["end_time"] >= settings.since).to_numpy(bool)
    if settings.until is not None:
        inside &= (items["start_time"] <= settings.until).to_numpy(bool)
    undated = items["start_time"].isna().to_numpy(bool)
    return np.where(undated, settings.keep_undated, inside)
