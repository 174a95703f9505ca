"""A correction as the terminal names it."""

import re
from collections.abc import Sequence
from typing import Any

from clustering_tasks.corrections.correction import CLUSTER_ID, KINDS, LINKS
from clustering_tasks.settings.levels import LEVELS
from stage4.cli.errors import UsageError

Json = dict[str, Any]

_CLUSTER = re.compile(CLUSTER_ID)


def body(
    kind: str,
    names: Sequence[str],
    *,
    level: str | None = None,
    others: Sequence[str] = (),
    cluster: str | None = None,
    label: str | None = None,
    reason: str = "",
) -> Json:
    """Build what `POST corrections` takes.

    Args:
        kind: of correction.
        names: clusters or items: what has the form of a cluster's id is one.
        level: plural name; None: that of the clusters.
        others: of `apart`: items that stay.
        cluster: of `apart`: whose story the items leave.
        label: of `rename`.
        reason: why.

    Raises:
        UsageError: nothing can be made of it; the server checks the rest.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of correction: take {', '.join(KINDS)}.")
    clusters = [name for name in names if _CLUSTER.match(name)]
    items = [name for name in names if not _CLUSTER.match(name)]
    about: Json = {"items": items, "others": list(others), "label": label, "cluster_id": cluster}
    if kind == "together":
        about["clusters"] = clusters
    elif clusters and kind in LINKS:
        raise UsageError("`apart` takes items; the cluster that they leave is --from.")
    elif kind not in LINKS:
        if len(names) != 1 or not clusters or cluster is not None:
            raise UsageError(f"`{kind}` takes the id of one cluster.")
        about["cluster_id"] = clusters[0]
    known = level or _level_of([*clusters, *([cluster] if cluster else [])])
    if known is None:
        raise UsageError("Items alone do not tell their level: add --level.")
    given = {name: value for name, value in about.items() if value}
    return {"level": known, "kind": kind, "reason": reason} | given


def _level_of(clusters: Sequence[str]) -> str | None:
    types = {level.cluster_type: level.name for level in LEVELS.values()}
    found = {types.get(name.rpartition("_")[0]) for name in clusters} - {None}
    return found.pop() if len(found) == 1 else None
