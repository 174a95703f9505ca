"""All steps of one level in one process: the command line's `run`."""

import time
from typing import Any

import structlog
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import NONE_DELETED, Tombstones
from clustering_tasks.errors import SettingsError
from clustering_tasks.publication.files import make_output, publish_files, published
from clustering_tasks.publication.gate import check_gate
from clustering_tasks.publication.idle import idle_before
from clustering_tasks.publication.report import read_report
from clustering_tasks.steps import PLANNING, STEPS, Step
from clustering_tasks.workspace.artefacts import Result, Run

log = structlog.get_logger()


def run_all(
    run: Run, output: UPath, deleted: Tombstones = NONE_DELETED, *, with_map: bool = False
) -> dict[str, Any]:
    """Perform the steps, then publish the JSONL if the quality gate lets it pass.

    Args:
        run: that has been started.
        output: folder of the published files.
        deleted: documents whose items are left out.
        with_map: whether to draw the map, which takes half a second for 5,000 items, and which
            only the explorer reads, from the database.

    Returns:
        the paths of the files (with a map also `points_csv`), the counts, the mode that was taken,
        the ids by what became of them, the duration, the settings without effect, and whether the
        run was published; if not, why.

    Raises:
        SettingsError: the gate is to compare with a history, which only the database has, or the
            vectors are to be read from it; or this workspace's runs are published in the database.
        ResourcesError: the output cannot be written.
    """
    _refuse_the_databases(run)
    if run.settings.publish.max_drift is not None:
        raise SettingsError(
            "publish.max_drift compares with the runs in the database, and this command has none: "
            "drop it, or run the DAG"
        )
    if run.settings.input.source == "postgres":
        raise SettingsError(
            "input.source=postgres needs the database, and this command has none: drop it, or run "
            "the DAG"
        )
    for idle in idle_before(run.settings, run.level, None, database=False, map=with_map, llm=False):
        log.warning(str(idle))
    make_output(output)  # before hours of work, not behind them
    began = time.perf_counter()
    results = perform_steps(run, deleted, with_map=with_map)
    label = results["label"]
    report = read_report(label.files["report"])
    made = report.model_extra or {}
    failures = check_gate(report, run.settings.publish)
    superseded = False
    if not failures:
        publication = publish_files(
            report,
            clusters_jsonl=label.files["clusters_jsonl"],
            label_uri=label.uri,
            workspace=str(run.workspace),
            output=str(output),
        )
        superseded = publication.superseded
    else:
        log.warning("not published", failures=failures)
    seconds = time.perf_counter() - began
    return {
        **{name: label.files[name] for name in ("clusters_jsonl", "members_parquet", "report")},
        **(results["map"].files if with_map else {}),
        **report.counts.model_dump(),
        "mode": made["mode"]["taken"],
        "lineage": {change: ids for change, ids in made["lineage"].items() if ids},
        "idle_settings": report.without_effect(database=False, map=with_map),
        "seconds": round(seconds, 3),
        "items_per_second": round(report.counts.read / seconds, 1),
        "published": not failures and not superseded,
        "not_published_because": failures or (["a newer run is published"] if superseded else []),
    }


def perform_steps(
    run: Run, deleted: Tombstones = NONE_DELETED, *, with_map: bool = False
) -> dict[str, Result]:
    """Perform the steps, and publish nothing; returns their results by name.

    Args:
        run: that has been started.
        deleted: documents whose items are left out.
        with_map: whether to draw the map.
    """
    wanted = [step for step in STEPS if with_map or not step.optional]
    return {step.name: _perform(step, run, deleted) for step in wanted}


def _refuse_the_databases(run: Run) -> None:
    """Refuse a workspace whose ids the database knows: it would know nothing of this run's."""
    current = published(str(run.workspace), run.level.name)
    if current is not None and current.database:
        raise SettingsError(
            f"the {run.level.name} of {run.workspace} are published in the database, where this "
            f"command publishes nothing, so that readers' ids and the next run's would differ: "
            f"give --workspace another folder, or trigger the DAG cluster_{run.level.name}"
        )


def _perform(step: Step, run: Run, deleted: Tombstones) -> Result:
    """Perform a step, all parts of a mapped one; returns its last result."""
    function = step.load()
    if step.mapped:
        parts = run.result(PLANNING.name).parts or []
        results: list[Result] = [function(run, part.part) for part in parts]
        return results[-1]
    result: Result = function(run, deleted=deleted) if step.reads_deletions else function(run)
    return result
