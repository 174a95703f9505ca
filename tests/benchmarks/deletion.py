"""How long a deletion takes: until nobody sees the document, and until nothing of it is left.

    python -m tests.benchmarks.deletion --documents 420
    python -m tests.benchmarks.deletion --store /tmp/stage4-bench-api

The first clusters a sample corpus in an Airflow of its own and deletes documents by REST. The
second hides documents in the runs of a store (`tests.benchmarks.store`), each in a transaction that
is rolled back.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

from clustering_tasks.deleted_documents.tombstones import Tombstones, document_hash
from clustering_tasks.settings.levels import LEVELS
from local.airflow_api import AirflowApi, answer_of
from local.configuration import Options
from local.sample import write_sample
from local.stack import Stack
from local.state import State
from tests.benchmarks.store import store
from tests.isolation import isolate

_DOCUMENTS = """
SELECT DISTINCT document_id FROM (
    SELECT document_id FROM stage4.current_members ORDER BY vector_id LIMIT 100000
) members ORDER BY 1 LIMIT %s
"""
Seconds = dict[str, list[float]]


def main() -> None:
    """Measure one of the two, and print medians and extremes in seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=420)
    parser.add_argument("--deletions", type=int, default=3, help="one after the other")
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    isolate()
    load = os.getloadavg()[0]
    if given.store is None:
        seconds = in_airflow(given.documents, given.deletions)
    else:
        seconds = in_store(given.store, given.deletions)
    print(json.dumps({"load": round(load, 1)}))
    for what, values in seconds.items():
        found = {"median": median(values), "least": min(values), "most": max(values)}
        print(json.dumps({"what": what} | {name: round(one, 2) for name, one in found.items()}))


def in_airflow(documents: int, deletions: int) -> Seconds:
    """Delete documents of a sample corpus that has been clustered at every level."""
    seconds: Seconds = {"hidden": [], "carried out": []}
    with tempfile.TemporaryDirectory(prefix="stage4-deletion-") as folder, running(folder) as stack:
        write_sample(stack.state.sample, documents=documents)
        api = stack.api()
        run = api.wait("cluster_all", api.trigger("cluster_all")["dag_run_id"], 1800)
        assert run["state"] == "success", run
        for number in range(deletions):
            hidden, carried_out = deleted(api, f"doc_{(number + 1) * documents // 10:03}")
            seconds["hidden"].append(hidden)
            seconds["carried out"].append(carried_out)
    return seconds


@contextmanager
def running(folder: str) -> Iterator[Stack]:
    """An Airflow that runs nothing by itself."""
    environment = {f"STAGE4_SCHEDULE_{level.upper()}": "none" for level in LEVELS}
    state = State.open(Path(folder) / "state")
    stack = Stack(state, Options(folder=Path(folder), environment=environment, port=0))
    try:
        stack.up()
        yield stack
    finally:
        stack.clean()


def deleted(api: AirflowApi, document: str) -> tuple[float, float]:
    """Delete a document; seconds until the answer, and from the request to the audit's end."""
    url = f"{api.base_url}/stage4/api/v1/documents/{document}"
    started = time.perf_counter()
    asked = answer_of(api.client.delete(url))
    hidden = time.perf_counter() - started
    assert asked["counts"], f"{document} is in no run"
    api.wait("delete_document", f"deletion__{asked['deletion_id']}", 1800)
    done = answer_of(api.client.delete(url))
    assert done["state"] == "done", done
    first, last = (
        datetime.fromisoformat(done[f"{what}_at"]) for what in ("requested", "carried_out")
    )
    return hidden, (last - first).total_seconds()


def in_store(folder: Path, deletions: int) -> Seconds:
    """Hide documents in all runs of a store; the database is afterwards as it was."""
    from stage4.deletions.hiding import hide

    secret, seconds = "a secret of the benchmarks", Seconds()
    with store(folder) as connection:
        documents = [name for (name,) in connection.execute(_DOCUMENTS, [deletions]).fetchall()]
        runs = connection.execute("SELECT count(*), sum(read) FROM stage4.runs").fetchone()
        print(json.dumps({"runs": int(runs[0]), "members": int(runs[1])}) if runs else "no runs")
        for document in documents:
            this = Tombstones(secret, frozenset({document_hash(secret, document)}))
            with connection.transaction(force_rollback=True):
                started = time.perf_counter()
                assert hide(connection, document, this)
                seconds.setdefault("hidden", []).append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
