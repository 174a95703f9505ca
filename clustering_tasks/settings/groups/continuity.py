"""From one run to the next: lasting ids and incremental runs."""

from pydantic import Field

from clustering_tasks.settings.groups.base import Group


class IdentitySettings(Group):
    """Lasting ids: which cluster of this run is which cluster of the runs before."""

    look_back: int = Field(
        7,
        ge=1,
        le=30,
        description="Number of published runs in which a cluster is looked for: one that is "
        "missing from some of them returns with its id, one that is missing from all has ended. "
        "More keep the ids of stories that pause, and need more space.",
    )


class IncrementalSettings(Group):
    """Incremental runs: only with `mode=incremental` or `mode=auto`."""

    vote_similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Least similarity of a new item and the cluster that its nearest neighbours "
        "vote for. Higher leaves more new items to be clustered among themselves. Unset: the value "
        "at which the vote repeats most memberships of the run before.",
    )
    max_new_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Only with mode=auto: a full run is made if more than this share of the items "
        "has come since the last full one. On headlines split by time, a fifth assigned so left an "
        "agreement (ARI) of .94 with a full run. Lower makes full runs more often.",
    )
    max_quality_drop: float = Field(
        0.05,
        ge=0,
        le=2,
        description="Only with mode=auto: a full run is made if silhouette or modularity has "
        "fallen by more than this since the last full one; half of what raises a drift alert.",
    )
    max_age_days: float = Field(
        7.0,
        gt=0,
        description="Only with mode=auto: a full run is made if the last full one is older. A week "
        "bounds how long clusters that have grown together, or apart, stay as they are.",
    )
