"""Alerts (MQ-3): what a run's metrics give cause to look at; pure, without a database.

Two kinds. A *limit* holds for each run of a level by itself. *Drift* compares a run with the runs
of its level that were published before. What was not measured raises neither. docs/METRICS.md says
where the limits come from.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from clustering_tasks.publication.gate import MANY
from clustering_tasks.settings.groups.publication import AlertSettings, PublishSettings
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.types import given_or
from clustering_tasks.stage3.fields import fields_of
from clustering_tasks.stage3.oddities import unread
from clustering_tasks.steps import STEPS

Metrics = Mapping[str, float | None]
Severity = Literal["info", "warning", "critical"]

SECONDS = "seconds"
# Whose seconds are compared with their history; an optional step's only where it was performed.
TIMED = (*(step.name for step in STEPS), "load_postgres")
_OPTIONAL = frozenset(step.name for step in STEPS if step.optional)
_SIGMAS = 1.4826  # of a normal distribution's median absolute deviation
_CRITICAL = 2  # times what is allowed
_FEWEST_RUNS = 3  # whose median one strange run does not move
# Counts of values that could not be used; half of a level's items are no accident.
UNREAD = (
    *("unparsable_dates", "implausible_dates"),
    *sorted({unread(field) for level in LEVELS.values() for field in fields_of(level)}),
)
MAX_UNREAD_SHARE = 0.5


@dataclass(frozen=True)
class Limits:
    """Of one level.

    Attributes:
        min_silhouette: below, clusters are not what the level can give.
        max_raw_outlier_share: above, too little is in clusters.
        min_tags_per_item: below, tags are missing; 0: any number will do.
    """

    min_silhouette: float
    max_raw_outlier_share: float
    min_tags_per_item: float = 0.0


# One limit for all would be wrong: gold itself has a silhouette of .20 for events and .18 for
# entities (.26 to .32 for documents, .30 for storylines), and a quarter of the events are told of
# once only. Of 30 sound runs none is beyond these, of 15 on vectors with as much noise as signal or
# more, all are (docs/METRICS.md).
LIMITS = {
    "documents": Limits(min_silhouette=0.2, max_raw_outlier_share=0.5, min_tags_per_item=2.0),
    "events": Limits(min_silhouette=0.15, max_raw_outlier_share=0.6),
    "entities": Limits(min_silhouette=0.15, max_raw_outlier_share=0.5),
    "storylines": Limits(min_silhouette=0.2, max_raw_outlier_share=0.3),
}


@dataclass(frozen=True)
class Alert:
    """Something about a run that a person should look at.

    Attributes:
        name: of the rule: `limit.` or `drift.` and the metric.
        severity: how urgent it is.
        message: what was found.
        action: what to look at, and what to do.
        value: the measured value.
        limit_value: the value that it was compared with.
    """

    name: str
    severity: Severity
    message: str
    action: str
    value: float
    limit_value: float

    def record(self) -> dict[str, Any]:
        """Return the alert as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Deviation:
    """A metric of a run beside those of the runs before it.

    Attributes:
        watched: the metric.
        value: of the run.
        usual: median of the runs before.
        allowed: largest difference that raises no alert.
        runs: number of those runs that have the metric.
    """

    watched: "Watched"
    value: float
    usual: float
    allowed: float
    runs: int

    @property
    def times(self) -> float:
        """How many times what is allowed the difference is."""
        difference = abs(self.value - self.usual)
        if not self.allowed:  # nothing was allowed, and all runs were alike
            return math.inf if difference else 0.0
        return difference / self.allowed

    @property
    def limit(self) -> float:
        """The last value on this side that raises no alert."""
        return self.usual + (self.allowed if self.value > self.usual else -self.allowed)


@dataclass(frozen=True)
class Watched:
    """A metric that is compared with its history.

    Attributes:
        name: as in `stage4.metrics`; `seconds` is the sum of all steps'.
        title: in words.
        relative: whether a change counts as a share of the median; else as a difference.
        min_difference: the smallest difference that ever counts, in the metric's own unit.
        if_low: what to do when it has fallen; None: nothing is wrong then.
        if_high: what to do when it has risen; None: nothing is wrong then.
        gated: whether `publish.max_drift` is about it.
    """

    name: str
    title: str
    relative: bool
    min_difference: float
    if_low: str | None
    if_high: str | None
    gated: bool = True

    def action(self, deviation: Deviation) -> str | None:
        """Say what to do about a deviation, None if it is for the better."""
        return self.if_high if deviation.value > deviation.usual else self.if_low


_SETTINGS = "compare the run's settings and `algorithm` in its report with those of the runs before"
_VECTORS = (
    "look whether Stage 3's model, or the text that it embeds, has changed: "
    "`quality.intra_cluster_similarity` changes with it"
)
_BACK = "if the clusters are wrong, publish the run before again (the DAG `roll_back`)"

_COVERAGE = Watched(
    "coverage",
    "share of the items in a cluster",
    relative=False,
    min_difference=0,
    if_low="Look at `counts.unassigned` (a part that failed), at `evidence` (metadata that "
    f"contradict the vectors), then at the outliers: {_VECTORS}.",
    if_high=None,
)
WATCHED = (
    Watched(
        "counts.read",
        "items read",
        relative=True,
        min_difference=1,
        if_low="Compare with what Stage 3 has taken in: a part of its delivery may be missing. "
        f"When it is complete, run the level again; {_BACK}.",
        if_high="Compare with what Stage 3 has taken in: items may have been delivered twice "
        "(`input.identical_vectors`), or a source has been added.",
    ),
    Watched(
        "counts.clusters",
        "clusters",
        relative=True,
        min_difference=1,
        if_low=f"Look at `sizes.max` and the largest clusters: stories may have run together. "
        f"Then {_SETTINGS}; {_BACK}.",
        if_high=f"Look whether clusters of one story lie apart. Then {_SETTINGS}; {_BACK}.",
    ),
    _COVERAGE,
    Watched(
        "raw_outlier_share",
        "share of outliers before the outlier policy",
        relative=False,
        min_difference=0,
        if_low=None,
        if_high=f"Look at some outliers: are they stories of their own? If not, {_VECTORS}; then "
        f"{_SETTINGS}.",
    ),
    Watched(
        "quality.silhouette",
        "mean silhouette",
        relative=False,
        min_difference=0,
        if_low=f"Clusters are less distinct than they were: {_VECTORS}; then {_SETTINGS}.",
        if_high=None,
    ),
    Watched(
        "sizes.mean",
        "mean size of a cluster",
        relative=True,
        min_difference=0,
        if_low=f"Look whether clusters of one story lie apart. Then {_SETTINGS}.",
        if_high="Look at the largest clusters and at `input.identical_vectors`: stories may have "
        f"run together, or the same items come many times. Then {_SETTINGS}.",
    ),
    Watched(
        SECONDS,
        "seconds of all steps",
        relative=True,
        min_difference=60,
        if_low=None,
        if_high="See which step it was (`seconds.*`), and whether other work was on the machine.",
        gated=False,
    ),
)
# What to look at where the graph does not bear a piece of evidence out.
EVIDENCE = {
    "mentions": "Look at the items' mentions (an event's trigger, an entity's text): are they the "
    "same for all, or a template's?",
    "documents": "Look at the vectors of the level `documents`: are they all alike?",
    "stories": "Look at the items' `document_id`: are the documents digests of many stories, "
    "batches of a feed, or not the items' own? Are the vectors of the level `documents` right?",
    "sentences": "Look at the items' sentences: are they the same for all?",
    "domains": "Look at the items' domains: are they drawn at random, or those of their sources?",
    "event_types": "Look at the items' event types: are they drawn at random?",
    "decay": "Look at the items' dates: are they those of a crawl or of a template?",
}
METRICS = (
    "tags.per_item",
    *(f"evidence.{piece}.factor" for piece in EVIDENCE),
    "input.items",
    *(f"input.{name}" for name in UNREAD),
    *(watched.name for watched in WATCHED if watched.name != SECONDS),
    *(f"{SECONDS}.{step}" for step in TIMED),
)


def find_alerts(
    level: str, metrics: Metrics, history: Sequence[Metrics], settings: AlertSettings
) -> list[Alert]:
    """Find what is beyond a limit, or unlike the runs before.

    Args:
        level: plural name.
        metrics: the run's, by name; those of `METRICS` are read. Null or missing: not measured.
        history: the same of the level's last published runs, in any order.
        settings: the run's `alerts`.
    """
    drifted = list(_drifted(level, deviations(metrics, history, settings)))
    fallen = [] if any(each.name == "drift.coverage" for each in drifted) else history
    return [
        *_beyond_limits(level, metrics, settings),
        *drifted,
        *_fallen(level, metrics, fallen, settings),
    ]


def check_drift(
    metrics: Metrics, history: Sequence[Metrics], alerts: AlertSettings, gate: PublishSettings
) -> list[str]:
    """Apply the gate's condition on drift (AP-6).

    Args:
        metrics: the run's.
        history: of the level's last published runs.
        alerts: the run's `alerts` settings, which say what is usual.
        gate: the run's `publish` settings.

    Returns:
        One sentence per metric that is too much worse than its history, naming the setting; none
        where the history is too short. Without `publish.max_drift` only the coverage counts.
    """
    return [
        *_too_far_fallen(metrics, history, alerts, gate),
        *_too_far_drifted(metrics, history, alerts, gate.max_drift),
    ]


@dataclass(frozen=True)
class Fall:
    """Coverage of a run that is lower than usual.

    Attributes:
        value: of the run.
        usual: median of the runs before.
        runs: their number.
    """

    value: float
    usual: float
    runs: int


def fall_of_coverage(
    metrics: Metrics, history: Sequence[Metrics], max_drop: float, min_change: float
) -> Fall | None:
    """Compare a run's coverage with a history that may be too short for anything finer.

    Args:
        metrics: the run's.
        history: of the level's last published runs.
        max_drop: largest fall, as a share of their median.
        min_change: smaller differences never count.

    Returns:
        None where it has not fallen by more, or fewer than 3 runs are known.
    """
    value = metrics.get("coverage")
    before = [old for run in history if (old := run.get("coverage")) is not None]
    if value is None or len(before) < _FEWEST_RUNS:
        return None
    usual = median(before)
    if value >= (1 - max_drop) * usual or usual - value <= min_change:
        return None
    return Fall(value, usual, len(before))


def _fallen(
    level: str, metrics: Metrics, history: Sequence[Metrics], settings: AlertSettings
) -> Iterator[Alert]:
    change = settings.min_share_change
    fall = fall_of_coverage(metrics, history, settings.max_coverage_drop, change)
    if fall is not None:
        least = min((1 - settings.max_coverage_drop) * fall.usual, fall.usual - change)
        yield Alert(
            name="drift.coverage",
            severity="critical" if fall.value < fall.usual / _CRITICAL else "warning",
            message=f"{level}: {_COVERAGE.title}: {fall.value:.4g}, lower than usual: the median "
            f"of the last {fall.runs} published runs is {fall.usual:.4g}, and {least:.4g} would "
            "still be usual",
            action=_COVERAGE.if_low or "",
            value=fall.value,
            limit_value=least,
        )


def _too_far_fallen(
    metrics: Metrics, history: Sequence[Metrics], alerts: AlertSettings, gate: PublishSettings
) -> Iterator[str]:
    drop = gate.max_coverage_drop
    fall = fall_of_coverage(metrics, history, drop, alerts.min_share_change)
    if drop < 1 and fall is not None and (metrics.get("counts.read") or 0) >= MANY:
        yield (
            f"coverage is {fall.value:.4g}, less than {1 - drop:g} times the median of "
            f"{fall.runs} published runs, {fall.usual:.4g}; publish.max_coverage_drop={drop:g} is "
            "allowed"
        )


def _too_far_drifted(
    metrics: Metrics,
    history: Sequence[Metrics],
    alerts: AlertSettings,
    max_drift: float | None,
) -> list[str]:
    if max_drift is None:
        return []
    return [
        f"{each.watched.title}: {each.value:.4g}, which is {each.times:.3g} times the usual "
        f"deviation ({each.allowed:.3g}) from {each.usual:.4g}, the median of {each.runs} "
        f"published runs; publish.max_drift={max_drift:g} is allowed"
        for each in deviations(metrics, history, alerts)
        if each.watched.gated and each.watched.action(each) is not None and each.times > max_drift
    ]


def deviations(
    metrics: Metrics, history: Sequence[Metrics], settings: AlertSettings
) -> Iterator[Deviation]:
    """Compare each watched metric with its history; those with too short a one are left out.

    A difference counts when it is both unusual (so many median absolute deviations) and large
    enough to matter: in a history of equal runs the first is nothing at all.
    """
    for watched in WATCHED:
        value = _value(watched, metrics)
        before = [old for run in history if (old := _value(watched, run)) is not None]
        if value is None or len(before) < settings.min_history:
            continue
        usual = median(before)
        unusual = settings.deviations * _SIGMAS * median(abs(old - usual) for old in before)
        matters = settings.min_change * usual if watched.relative else settings.min_share_change
        allowed = max(unusual, matters, watched.min_difference)
        yield Deviation(watched, value, usual, allowed, len(before))


def _value(watched: Watched, metrics: Metrics) -> float | None:
    if watched.name != SECONDS:
        return metrics.get(watched.name)
    parts = {step: metrics.get(f"{SECONDS}.{step}") for step in TIMED}
    if any(seconds is None for step, seconds in parts.items() if step not in _OPTIONAL):
        return None
    return sum(seconds or 0 for seconds in parts.values())


def _drifted(level: str, found: Iterator[Deviation]) -> Iterator[Alert]:
    for each in found:
        action = each.watched.action(each)
        if each.times > 1 and action is not None:
            yield Alert(
                name=f"drift.{each.watched.name}",
                severity=_severity(each),
                message=f"{level}: {each.watched.title}: {each.value:.4g}, {_direction(each)} than "
                f"usual: the median of the last {each.runs} published runs is {each.usual:.4g}, "
                f"and {each.limit:.4g} would still be usual",
                action=action,
                value=each.value,
                limit_value=each.limit,
            )


def _severity(deviation: Deviation) -> Severity:
    if deviation.watched.name == SECONDS:
        return "info"
    return "critical" if deviation.times > _CRITICAL else "warning"


def _direction(deviation: Deviation) -> str:
    return "higher" if deviation.value > deviation.usual else "lower"


def _beyond_limits(level: str, metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    silhouette = metrics.get("quality.silhouette")
    least = given_or(settings.min_silhouette, LIMITS[level].min_silhouette)
    if silhouette is not None and silhouette < least:
        yield Alert(
            name="limit.quality.silhouette",
            # Below zero items are on average nearer to another cluster than to their own.
            severity="critical" if silhouette < 0 else "warning",
            message=f"{level}: the mean silhouette is {silhouette:.4g}, at least {least:g} is "
            "expected",
            action=f"Look at some clusters: do their members belong together? If not, {_VECTORS}; "
            f"then {_SETTINGS}. If they do, lower alerts.min_silhouette.",
            value=silhouette,
            limit_value=least,
        )
    yield from _outliers(level, metrics.get("raw_outlier_share"), settings)
    yield from _contradicted(level, metrics, settings)
    yield from _unread(level, metrics)
    yield from _untagged(level, metrics, settings)


def _untagged(level: str, metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    tags = metrics.get("tags.per_item")
    least = given_or(settings.min_tags_per_item, LIMITS[level].min_tags_per_item)
    if tags is not None and tags < least:
        yield Alert(
            name="limit.tags.per_item",
            severity="warning",
            message=f"{level}: {tags:.4g} tags per item, at least {least:g} are expected",
            action="Look at the items' `categories` and `tags`, and at `tags.listed` "
            "(docs/TAGS.md): a source may have stopped to send them, or the list may not fit.",
            value=tags,
            limit_value=least,
        )


def _contradicted(level: str, metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    least = settings.min_evidence_factor
    for piece, action in EVIDENCE.items():
        factor = metrics.get(f"evidence.{piece}.factor")
        if factor is not None and factor < least:
            yield Alert(
                name=f"limit.evidence.{piece}.factor",
                severity="warning",
                message=f"{level}: the vectors of the most similar items do not bear the evidence "
                f"`{piece}` out: {factor:.4g} of it counts, at least {least:g} is expected",
                action=f"{action} See `evidence.{piece}` in the report. Until the input is mended, "
                "the rest of the evidence decides; `evidence.check=false` trusts all of it.",
                value=factor,
                limit_value=least,
            )


def _unread(level: str, metrics: Metrics) -> Iterator[Alert]:
    items = metrics.get("input.items")
    for name in UNREAD if items else ():
        share = (metrics.get(f"input.{name}") or 0) / (items or 1)
        if share > MAX_UNREAD_SHARE:
            yield Alert(
                name=f"limit.{name}",
                severity="warning",
                message=f"{level}: {name} are {share:.4g} of the items, at most "
                f"{MAX_UNREAD_SHARE:g} are expected",
                action=f"Look at `input.{name}_example` in the report, and let Stage 3 write what "
                "docs/INPUT.md names. Until then nothing is known of these values.",
                value=share,
                limit_value=MAX_UNREAD_SHARE,
            )


def _outliers(level: str, share: float | None, settings: AlertSettings) -> Iterator[Alert]:
    most = given_or(settings.max_raw_outlier_share, LIMITS[level].max_raw_outlier_share)
    if share is not None and share > most:
        yield Alert(
            name="limit.raw_outlier_share",
            # half way from the limit to all of the level
            severity="critical" if share > (1 + most) / 2 else "warning",
            message=f"{level}: {share:.4g} of the items are outliers before the outlier policy, "
            f"at most {most:g} are expected",
            action="Look at some outliers: are they stories of their own? If so, raise "
            f"alerts.max_raw_outlier_share. If not, {_VECTORS}; then {_SETTINGS}.",
            value=share,
            limit_value=most,
        )
