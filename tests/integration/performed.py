"""Real runs of a level, from Stage 3's files to the database, as its DAG performs them."""

from typing import Any

from clustering_tasks.publication.report import read_report
from clustering_tasks.workspace.artefacts import Run
from stage4.database.load import load_run
from stage4.database.publish import publish_run

Json = dict[str, Any]


def files_of(run: Run) -> dict[str, str]:
    """The files that `load_postgres` reads, and the others of these steps."""
    results = [run.result(step) for step in ("identify", "label", "map")]
    return {name: uri for result in results for name, uri in result.files.items()}


def label_of(run: Run) -> Json:
    """The result of `label`, as its XCom holds it."""
    label: Json = run.result("label").model_dump(mode="json")
    return label


def load(run: Run) -> int:
    """Load what the steps have made; returns the load_id."""
    report = read_report(run.result("label").files["report"])
    load_id: int = load_run(files_of(run), report)["load_id"]
    return load_id


def publish(run: Run) -> Json:
    """Load a run and publish it; returns what `publish_run` does."""
    load(run)
    done = publish_run(label_of(run))
    assert done["published"]
    return done
