"""The records of clusters whose numbers follow each other, made in whatever process."""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32
from clustering_tasks.contract.record import Trend
from clustering_tasks.steps.label.members import Group
from clustering_tasks.steps.label.records import Cluster, Common, Named, record
from clustering_tasks.steps.label.tables import Clusters, clusters_of
from clustering_tasks.steps.label.tags import TagsOfSome


@dataclass(frozen=True)
class RecordTask:
    """What the records of g clusters are made of.

    Attributes:
        group: their members.
        named: what they are called.
        centroids: (g, d) unit vectors.
        tags: theirs and their members'.
        trends: of each; None where there is none.
    """

    group: Group
    named: list[Named]
    centroids: F32
    tags: TagsOfSome
    trends: list[Trend | None]


def make_clusters(common: Common, task: RecordTask) -> Clusters:
    """Return the lines and rows of the clusters of a group."""
    clusters = zip(task.group.clusters(), task.named, task.centroids, task.trends, strict=True)
    records = [
        record(
            common,
            Cluster(
                named,
                members,
                centroid,
                trend,
                task.tags.of(place),
                task.tags.of_members(place, members["source_id"]),
            ),
        )
        for place, (members, named, centroid, trend) in enumerate(clusters)
    ]
    return clusters_of(records, np.diff(task.group.bounds).tolist())
