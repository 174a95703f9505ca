"""What Airflow's DAG processor does whenever it parses the DAGs, and what it stores of them.

    PYTHONPATH=.:plugins python -m tests.benchmarks.dags

Seconds are a processor's; no DAG is run.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from tests.isolation import isolate, own_airflow_home

TIMES = 5


def main() -> None:
    """Print processor seconds to parse all DAGs, and to serialize each one, with its bytes."""
    isolate()
    own_airflow_home()
    from airflow.dag_processing.dagbag import DagBag  # it reads where its home is

    folder = Path(__file__).parents[2] / "dags"
    parsed = [_seconds(lambda: DagBag(str(folder))) for _ in range(TIMES)]
    print(f"parsing all of them: {median(parsed):.2f} s, medians of {TIMES}")
    for dag_id, dag in sorted(DagBag(str(folder)).dags.items()):
        taken = [_seconds(partial(_serialized, dag)) for _ in range(TIMES)]
        size = len(json.dumps(_serialized(dag)))
        print(f"{dag_id}: {median(taken):.3f} s, {size:,} bytes, {len(dag.params)} params")


def _serialized(dag: object) -> object:
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    return LazyDeserializedDAG.from_dag(dag).data  # type: ignore[arg-type]


def _seconds(act: Callable[[], object]) -> float:
    begun = time.process_time()
    act()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
