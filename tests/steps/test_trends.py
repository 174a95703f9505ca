"""Trends from the members' dates to the records."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tests.conftest import NOON, Workbench
from tests.stage3_folder import blobs

HDBSCAN = {"min_cluster_size": 5, "min_samples": 5}


def test_records_and_report_have_what_the_dates_of_the_members_say(workbench: Workbench) -> None:
    """Three stories: one of all days, one of the last two, one that ended; one without dates."""
    days = [
        *np.linspace(0, 20, 21),
        *np.linspace(18.5, 20, 21),
        *np.linspace(0, 14, 21),
    ]
    end = NOON - timedelta(days=1)
    metadata: list[dict[str, Any]] = [
        {"publication_date": (end - timedelta(days=20 - day)).isoformat()} for day in days
    ]
    metadata += [{}] * 21
    workbench.stage3.write("documents", blobs([21] * 4, spread=0.02, seed=5), metadata)
    done = workbench.perform("documents", hdbscan=HDBSCAN)
    run = workbench.start("documents", hdbscan=HDBSCAN)
    lines = run.result("label").path("clusters_jsonl").read_text().splitlines()
    trends = {min(record["member_ids"]): record["trend"] for record in map(json.loads, lines)}
    states = [trend and trend["state"] for _, trend in sorted(trends.items())]
    assert states == ["steady", "growing", "fading", None]
    recent = {
        name: sum(
            datetime.fromisoformat(one["publication_date"]).astimezone(UTC)
            > end - timedelta(days=3)
            for one in metadata[start : start + 21]
        )
        for name, start in zip(sorted(trends), (0, 21, 42), strict=False)
    }
    assert {name: trends[name]["recent"] for name in recent} == recent
    report = json.loads(run.result("label").path("report").read_bytes())
    assert report["trends"] == {"growing": 1, "steady": 1, "fading": 1, "unknown": 0}
    assert done["clusters"] == 4


def test_a_level_without_dates_has_none(workbench: Workbench) -> None:
    workbench.stage3.write("documents", blobs([10, 10]), [{}] * 20)
    workbench.perform("documents", hdbscan=HDBSCAN)
    result = workbench.start("documents", hdbscan=HDBSCAN).result("label")
    assert set(json.loads(result.path("report").read_bytes())["trends"].values()) == {None}
