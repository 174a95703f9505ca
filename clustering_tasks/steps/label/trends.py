"""The trends that `trend` found, for records."""

import pyarrow.parquet as pq

from clustering_tasks.contract.record import Record
from clustering_tasks.workspace.artefacts import Result


class Trends:
    """Trends by clusters."""

    def __init__(self, trend: Result) -> None:
        """Read the file of `trend`."""
        with trend.path("trends").open("rb") as file:
            # A slice and its row for each cluster took .5 s of processor time for 24,000, this .02.
            self._rows = pq.read_table(file).to_pylist()

    def on(self, record: Record, number: int) -> Record:
        """Enter the trend of a cluster into its record.

        Args:
            record: of the cluster.
            number: of the cluster in the run.
        """
        row = self._rows[number]
        record["trend"] = row if row["state"] else None
        return record
