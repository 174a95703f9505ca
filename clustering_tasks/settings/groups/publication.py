"""What may be published, and what raises an alert."""

from pydantic import Field

from clustering_tasks.settings.groups.base import Group


class PublishSettings(Group):
    """Quality gate: conditions for publishing a run.

    A run that fails one is kept and reported, but readers keep the previous run.
    """

    allow_empty: bool = Field(
        False, description="Whether a run without any item or any cluster may be published."
    )
    min_items: int = Field(
        0, ge=0, description="Publish only if at least this many items were read. 0: any number."
    )
    min_clusters: int = Field(
        0,
        ge=0,
        description="Publish only if there are at least this many clusters. 0: any number.",
    )
    min_coverage: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Publish only if at least this share of the items is in a cluster (0.5 is "
        "half). 0: any share. Unset: 0.2 for events and entities, 0.1 for documents and "
        "storylines, any share with fewer than 1,000 items.",
    )
    max_largest_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Publish only if the largest cluster holds at most this share of all items "
        "that are in clusters. 1: any share.",
    )
    max_coverage_drop: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Holds a run back in which far fewer items are in clusters than usual: the "
        "largest fall of the coverage, as a share of the median of the level's previous published "
        "runs (0.5: to half of it). Needs 3 previous runs and 1,000 items. 1: no fall holds a run "
        "back. Not on the command line of the steps, which has no previous runs.",
    )
    max_drift: float | None = Field(
        None,
        ge=1,
        description="Holds a run back that differs too much from the level's previous ones. 1: as "
        "soon as a drift alert is raised; 2: at twice that difference, and so on. The duration "
        "does not count. Unset: drift never holds a run back. Not on the command line of the "
        "steps, which has no previous runs.",
    )


class AlertSettings(Group):
    """Alerts: when a run's metrics are reported to be looked at; they never stop a run.

    A limit alert compares a metric with a fixed value, a drift alert with the level's previous
    published runs.
    """

    min_silhouette: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Alert if the mean silhouette, from -1 (wrong clusters) to 1 (well "
        "separated), is below this. Unset: 0.2 for documents and storylines, 0.15 for events and "
        "entities.",
    )
    max_raw_outlier_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Alert if more than this share of the items are outliers, counted before the "
        "outlier policy. Unset: 0.5 for documents and entities, 0.6 for events, 0.3 for "
        "storylines.",
    )
    min_evidence_factor: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Alert if less than this share of a piece of evidence (mentions, stories, "
        "dates and so on) counts, because the vectors do not bear it out. See `evidence.check`.",
    )
    max_coverage_drop: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Alert if the share of the items in clusters falls by more than this share of "
        "the median of at least 3 previous published runs (0.25: from 0.8 to below 0.6). Longer "
        "histories are also watched for smaller changes, see `alerts.min_share_change`.",
    )
    min_tags_per_item: float | None = Field(
        None,
        ge=0,
        description="Alert if the items have fewer tags than this on average. Unset: 2 for "
        "documents; none for the other levels, whose items have a domain at most. Where no item "
        "has a tag and none is listed there is no alert.",
    )
    history: int = Field(
        30,
        ge=3,
        le=365,
        description="Number of the level's last published runs that drift is measured against.",
    )
    min_history: int = Field(
        7,
        ge=3,
        le=365,
        description="Fewest previous published runs for drift alerts; with fewer there are none.",
    )
    deviations: float = Field(
        5.0,
        ge=1,
        description="Drift alert if a metric differs from the median of the previous runs by more "
        "than this many of their standard deviations (estimated from their median absolute "
        "deviation). Higher gives fewer alerts.",
    )
    min_change: float = Field(
        0.3,
        ge=0,
        description="Smallest change of items, clusters, mean size or duration that raises a "
        "drift alert, as a share of the median (0.3 is 30%). Higher gives fewer alerts.",
    )
    min_share_change: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Smallest change of coverage, outlier share or silhouette that raises a drift "
        "alert, as a difference (0.1: from 0.6 to 0.7). Higher gives fewer alerts.",
    )
