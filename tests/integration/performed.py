"""Real runs of a level, from Stage 3's files to the database, as its DAG performs them."""

from typing import Any

from clustering_tasks.deleted_documents.tombstones import NONE_DELETED, Tombstones
from clustering_tasks.publication.report import read_report
from clustering_tasks.steps import PLANNING, STEPS, Step
from clustering_tasks.workspace.artefacts import Run
from stage4.database.load import load_run
from stage4.database.publish import publish_run

Json = dict[str, Any]


def perform_steps(run: Run, deleted: Tombstones = NONE_DELETED, first: str = "snapshot") -> None:
    """Perform the steps of a run from one on."""
    names = [step.name for step in STEPS]
    for step in STEPS[names.index(first) :]:
        perform_step(step, run, deleted)


def perform_step(step: Step, run: Run, deleted: Tombstones = NONE_DELETED) -> None:
    """Perform a step, all parts of a mapped one."""
    function = step.load()
    if step.mapped:
        for part in run.result(PLANNING.name).parts or []:
            function(run, part.part)
    elif step.reads_deletions:
        function(run, deleted=deleted)
    else:
        function(run)


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
