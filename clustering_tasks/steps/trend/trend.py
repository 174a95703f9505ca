"""Step `trend`: which clusters grow and which fade, by the dates of their members."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_tasks.arrays import F64, I64, Mask
from clustering_tasks.settings.groups.meaning import TrendSettings
from clustering_tasks.steps.trend.rates import Ratios, rate_ratios
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns

STATES = ("growing", "steady", "fading", "unknown")
_DAY = 86_400_000_000  # microseconds
_FEWEST = 5  # items of both periods: with fewer nearly every new pair would grow


@dataclass(frozen=True)
class Counts:
    """Items of c clusters.

    Attributes:
        dated: (c,) members with a date.
        recent: (c,) of the last days.
        earlier: (c,) of the days before.
        earlier_days: (c,) length of that period; 0: there is none.
    """

    dated: I64
    recent: I64
    earlier: I64
    earlier_days: F64


def trend(run: Run) -> Result:
    """Write `trends.parquet`, a row for each cluster."""
    snapshot, merge = run.result("snapshot"), run.result("merge")
    settings = run.settings.model_dump(include={"trends"})
    key = artefact_key("trend", [snapshot, merge], settings, run.as_of)
    return perform(run, "trend", key, lambda attempt: write(run, snapshot, merge, attempt))


def write(run: Run, snapshot: Result, merge: Result, attempt: Attempt) -> None:
    """Write the file of `trend` into an attempt, from these results of the run."""
    times = read_columns(snapshot.path("items"), ["start_time"])["start_time"].cast(pa.int64())
    labels = read_columns(merge.path("assignments"), ["cluster"])["cluster"].fill_null(-1)
    counts = count_items(
        np.where(times.is_valid(), times.fill_null(0), 0),
        np.asarray(times.is_valid()),
        labels.to_numpy().astype(np.int64),
        int(merge.metrics["clusters"] or 0),
        _microseconds(run.as_of),
        run.settings.trends,
    )
    table = describe(counts, run.settings.trends)
    with attempt.new_file("trends", "trends.parquet").open("wb") as file:
        pq.write_table(table, file, compression="zstd")
    states = table["state"].to_pylist()
    attempt.metrics = {state: states.count(state) for state in STATES}
    if not counts.dated.any():
        attempt.metrics = dict.fromkeys(STATES)


def count_items(
    times: I64, dated: Mask, labels: I64, clusters: int, as_of: int, settings: TrendSettings
) -> Counts:
    """Count the members of the last days and of the days before, up to the level's last item.

    The earlier period begins with a cluster's first item, which opens it and is not counted; at
    most `history_days` before the last days. A cluster that begins in the last days has the whole
    period, without an item: it had none.

    Args:
        times: (n,) microseconds since 1970.
        dated: (n,) whether the time is known.
        labels: (n,) cluster of each, negative for none.
        clusters: their number.
        as_of: the run's moment: what is dated later does not count.
        settings: lengths of the periods.
    """
    known = dated & (times <= as_of)
    end = times[known].max(initial=0)
    begin = times[known].min(initial=end)
    recent_from = end - int(settings.window_days * _DAY)
    earlier_from = max(begin, recent_from - int(settings.history_days * _DAY))
    inside = known & (labels >= 0)
    times, labels = times[inside], labels[inside]
    first = np.full(clusters, end)
    np.minimum.at(first, labels, times)
    opened = (first >= earlier_from) & (first <= recent_from) & (first > begin)
    recent = np.bincount(labels[times > recent_from], minlength=clusters)
    before = labels[(times <= recent_from) & (times >= earlier_from)]
    start = np.where(opened, first, earlier_from)
    return Counts(
        np.bincount(labels, minlength=clusters),
        recent,
        np.bincount(before, minlength=clusters) - opened,
        np.maximum(recent_from - start, 0) / _DAY,
    )


def describe(counts: Counts, settings: TrendSettings) -> pa.Table:
    """Make the rows of the file: null where no member has a date, or a rate has no days."""
    known = counts.earlier_days > 0
    days = np.where(known, counts.earlier_days, 1.0)
    ratios = rate_ratios(
        counts.recent, settings.window_days, counts.earlier, days, settings.confidence
    )
    enough = known & (counts.recent + counts.earlier >= _FEWEST)
    return pa.table(
        {
            "state": pa.array(_states(ratios, counts, enough), mask=counts.dated == 0),
            "dated": counts.dated,
            "recent": counts.recent,
            "recent_days": np.full(len(days), settings.window_days),
            "earlier": counts.earlier,
            "earlier_days": counts.earlier_days,
            "rate": counts.recent / settings.window_days,
            "earlier_rate": pa.array(counts.earlier / days, mask=~known),
            "ratio": _finite(ratios.ratio, known),
            "ratio_low": _finite(ratios.low, known),
            "ratio_high": _finite(ratios.high, known),
        }
    )


def _states(ratios: Ratios, counts: Counts, enough: Mask) -> "np.ndarray":
    """Name the state of each cluster; one whose items are all older than both periods fades.

    Without an item in the last days none is called steady: too few came before to tell.
    """
    rests = (counts.dated >= _FEWEST) & (counts.recent + counts.earlier == 0)
    going = enough & (counts.recent > 0)
    conditions = [enough & (ratios.low > 1), (enough & (ratios.high < 1)) | rests, going]
    return np.select(conditions, ["growing", "fading", "steady"], "unknown")


def _finite(values: F64, known: Mask) -> pa.Array:
    return pa.array(values, mask=~(known & np.isfinite(values)))


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
