"""What a run has published, in files and rows, without its times and its name."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.chaos.installation import Installation

# Of one run and no other. What a cluster was born by stays: ids last from run to run. What became
# of them since the run before is looked at by itself (`not_continued`).
OF_A_RUN = frozenset(
    {
        *("timestamp", "run_id", "load_id", "labelled_at", "last_seen_at", "last_seen_job"),
        *("lineage", "change", "related"),
    }
)
ROWS = {
    "clusters": "cluster_id",
    "members": "vector_id",
    "points": "rank",
    "load_identities": "cluster_id",
    "load_lineage": "cluster_id",
}


def published(installation: Installation, level: str, job: str) -> dict[str, str]:
    """Read what readers find of a level; each part as text that equals another run's.

    Raises:
        AssertionError: readers see another run, or not the same one everywhere.
    """
    pointer = json.loads((installation.airflow.workspace / level / "published.json").read_text())
    found = installation.rows(
        "SELECT load_id, job_id FROM stage4.published JOIN stage4.runs USING (level, load_id)"
        " WHERE level = %s",
        level,
    )
    assert [job] == [name for _, name in found], f"readers of the rows see {found}, not {job}"
    assert pointer["job_id"] == job, f"published.json names {pointer['job_id']}, not {job}"
    own, dated = (_lines(pointer[name]) for name in ("clusters_jsonl", "dated_jsonl"))
    assert own == dated, f"the JSONL of the day is not that of {job}"
    load = found[0][0]
    return {"jsonl": own} | {table: _rows(installation, table, load) for table in ROWS}


def not_continued(installation: Installation, level: str) -> list[str]:
    """Say which ids the published run has not taken over, though its items are those of before."""
    found = installation.rows(
        "SELECT change, count(*) FROM stage4.load_lineage JOIN stage4.published USING (load_id)"
        " WHERE level = %s AND change <> 'continued' GROUP BY 1",
        level,
    )
    return [f"{count} ids are {change}" for change, count in found]


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Say where two publications differ, with the first line of each place that does."""
    return [
        f"{name} differs: {_first_difference(one[name], other[name])}"
        for name in one
        if one[name] != other[name]
    ]


def _first_difference(one: str, other: str) -> str:
    pairs = zip(one.splitlines(), other.splitlines(), strict=False)
    for first, second in pairs:
        if first != second:
            at = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
            return f"...{first[max(0, at - 80) : at + 80]} | ...{second[max(0, at - 80) : at + 80]}"
    return f"{len(one.splitlines())} lines, and {len(other.splitlines())}"


def _lines(uri: str) -> str:
    lines = Path(uri.removeprefix("file://")).read_bytes().splitlines()
    return "\n".join(_text(json.loads(line)) for line in lines)


def _rows(installation: Installation, table: str, load: int) -> str:
    query = (
        f"SELECT to_jsonb(each) FROM stage4.{table} each WHERE load_id = %s ORDER BY {ROWS[table]}"  # noqa: S608
    )
    return "\n".join(_text(row) for (row,) in installation.rows(query, load))


def _text(value: Any) -> str:
    return json.dumps(_without(value), sort_keys=True)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(each) for key, each in value.items() if key not in OF_A_RUN}
    if isinstance(value, list):
        return [_without(each) for each in value]
    return value
