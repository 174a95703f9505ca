"""The quality gate (AP-6): the conditions under which a run is published."""

from collections.abc import Iterator

from clustering_tasks.publication.report import Report
from clustering_tasks.settings.groups.publication import PublishSettings
from clustering_tasks.settings.types import given_or

# Shares of a level in clusters below which a run is no clustering of it, where the caller sets none
# (docs/METRICS.md has the figures). Real news are mostly articles of their own, so documents and
# storylines may have less than mentions.
MIN_COVERAGE = {"documents": 0.1, "events": 0.2, "entities": 0.2, "storylines": 0.1}
# Items from which a share is more than the luck of a few.
MANY = 1_000


def min_coverage(level: str, items: int, gate: PublishSettings) -> float:
    """Decide the least coverage of a run.

    Args:
        level: plural name.
        items: that were to be clustered: read and not filtered.
        gate: the run's `publish` settings.
    """
    return given_or(gate.min_coverage, MIN_COVERAGE[level] if items >= MANY else 0.0)


def check_gate(report: Report, gate: PublishSettings) -> list[str]:
    """Apply the quality gate (AP-6).

    Args:
        report: of the run.
        gate: the run's `publish` settings.

    Returns:
        One sentence per condition that fails, naming the setting; empty when the run may be
        published. A share of nothing (null in the report) fails no condition.
    """
    return list(_failures(report, gate))


def _failures(report: Report, gate: PublishSettings) -> Iterator[str]:
    counts = report.counts
    if not counts.clusters and not gate.allow_empty:
        yield (
            f"there is no cluster ({counts.read} items read): set publish.allow_empty=true to "
            "publish such a run"
        )
    if counts.read < gate.min_items:
        yield f"{counts.read} items were read, publish.min_items={gate.min_items} are required"
    if counts.clusters < gate.min_clusters:
        yield f"{counts.clusters} clusters, publish.min_clusters={gate.min_clusters} are required"
    least = min_coverage(report.level, counts.read - counts.filtered, gate)
    if report.coverage is not None and report.coverage < least:
        yield f"coverage is {report.coverage:.4g}, publish.min_coverage={least:g} is required"
    largest = report.largest_cluster_share
    if largest is not None and largest > gate.max_largest_share:
        yield (
            f"the largest cluster holds {largest:.4g} of the clustered items, "
            f"publish.max_largest_share={gate.max_largest_share:g} is allowed"
        )
