"""What a finished run of all levels has published, read back from where its readers find it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from upath import UPath

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.stage3.text import one_line
from local.airflow_api import Json
from local.errors import LocalError

SHOWN = 8
RUN = "SELECT * FROM stage4.current_runs WHERE level = %s"
CLUSTERS = """
SELECT cluster_id, label, size, start_time, end_time, intra_cluster_similarity AS similarity
FROM stage4.current_clusters WHERE level = %s ORDER BY size DESC, cluster_id LIMIT %s
"""
COUNT = "SELECT count(*) AS clusters FROM stage4.current_clusters WHERE level = %s"
Row = dict[str, Any]


def show_levels(console: Console, database_url: str, published: dict[str, Json]) -> None:
    """Print a table for each level.

    `published` holds what each level's `publish` task returned. Raises LocalError when the
    database or the JSONL does not show the run that was published.
    """
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        for level in LEVELS:
            [run] = connection.execute(RUN, [level]).fetchall()
            [count] = connection.execute(COUNT, [level]).fetchall()
            check(run, count["clusters"], published[level])
            clusters = connection.execute(CLUSTERS, [level, SHOWN]).fetchall()
            console.print(f"\n[bold]{title(level, run)}[/]", highlight=False)
            console.print(table_of(run, clusters))


def check(run: Row, clusters: int, published: Json) -> None:
    """Raise LocalError unless database, report and JSONL speak of the same clusters."""
    if run["job_id"] != published["job_id"]:
        raise LocalError(
            f"{run['level']}: the database shows run {run['job_id']}, "
            f"and not {published['job_id']}, which was published"
        )
    with UPath(published["clusters_jsonl"]).open() as file:
        lines = sum(1 for _ in file)
    if not lines == clusters == run["clusters"]:
        raise LocalError(
            f"{run['level']}: the run's report counts {run['clusters']} clusters, the database has "
            f"{clusters}, {published['clusters_jsonl']} has {lines} lines"
        )


def table_of(run: Row, clusters: Sequence[Row]) -> Table:
    """The largest clusters of a run; `sim.` is the mean cosine between two members."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("cluster", no_wrap=True)
    table.add_column("label")
    for name in ("size", "from", "to", "sim."):
        table.add_column(name, no_wrap=True, justify="right")
    for each in clusters:
        table.add_row(
            each["cluster_id"],
            escape(one_line(each["label"])),
            str(each["size"]),
            day(each["start_time"]),
            day(each["end_time"]),
            number(each["similarity"], ".2f"),
        )
    if run["clusters"] > len(clusters):
        table.add_row("", f"... and {run['clusters'] - len(clusters):,} more")
    return table


def title(level: str, run: Row) -> str:
    """One line: what was read, and what became of it."""
    return (
        f"{level}: {run['read']:,} vectors, {run['clusters']:,} clusters, "
        f"outliers {number(run['outlier_share'], '.1%')}"
    )


def day(time: datetime | None) -> str:
    """The date alone; a dash where nothing in the cluster has one."""
    return "-" if time is None else time.date().isoformat()


def number(value: float | None, form: str) -> str:
    """`value` in the given form; a dash where there is none."""
    return "-" if value is None else format(value, form)
