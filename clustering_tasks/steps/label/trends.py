"""The trends that `trend` found, for records."""

import pyarrow.parquet as pq

from clustering_tasks.contract.record import Trend
from clustering_tasks.workspace.artefacts import Result


class Trends:
    """Trends by clusters."""

    def __init__(self, trend: Result) -> None:
        """Read the file of `trend`."""
        with trend.path("trends").open("rb") as file:
            self._table = pq.read_table(file)

    def some(self, first: int, last: int) -> list[Trend | None]:
        """Return those of the clusters from one number up to another; None where there is none."""
        # one slice for many: a slice and its row for each cluster took 25 times as long
        rows = self._table.slice(first, last - first).to_pylist()
        return [row if row["state"] else None for row in rows]
