"""Step `redact`: takes deleted documents out of a level's workspace.

A run that is complete gets new artefacts without them, made by the code of its steps: the snapshot,
the clustering and its ids are cut, quality and centroids measured again, `label` and `map`
performed again.
Nothing is clustered anew: who stays, stays where it was. What cannot be made again is removed, and
so is everything that was made on the way from the old snapshot to the old clustering.

Safe to repeat after a crash at any point: a run's records are replaced only when all that replaces
them is there.
"""

import time
from collections.abc import Iterable
from dataclasses import replace

import structlog
from upath import UPath

from clustering_tasks.deleted_documents.reload_marks import mark_changed
from clustering_tasks.deleted_documents.tombstones import GONE_NAME, Tombstones
from clustering_tasks.llm.answers import forget_answers
from clustering_tasks.settings.levels import Level
from clustering_tasks.steps.redact.artefacts import Redaction, remove_artefacts
from clustering_tasks.steps.redact.corrections import redact_corrections
from clustering_tasks.steps.redact.identities import redact_registries
from clustering_tasks.steps.redact.records import records_of, replace_records, runs_of
from clustering_tasks.steps.redact.rewriting import can_be_cut, rewrite
from clustering_tasks.steps.redact.search import run_holds
from clustering_tasks.workspace.artefacts import Result, Run, artefact_name, load_run
from clustering_tasks.workspace.cleanup import remove_leftovers
from clustering_tasks.workspace.exports import remove_exports
from clustering_tasks.workspace.storage import to_json, write_atomically

_IDLE_SECONDS = 3600.0  # from then on an unfinished attempt, or a copy, is a killed one's
log = structlog.get_logger()


def redact(workspace: UPath, level: Level, job_id: str, deleted: Tombstones) -> Result:
    """Take deleted documents out of all runs and artefacts of a level.

    Args:
        workspace: that holds them.
        level: of the runs.
        job_id: of the run of this step, under which its result is recorded.
        deleted: the documents.

    Returns:
        a result without files; metrics: `runs_rewritten`, `runs_given_up` (what is left of them
        holds nothing; they begin again with `snapshot`), `artefacts_removed`, `registries_cut`
        (of lasting ids, the published ones and those of runs), `corrections_replaced` (files),
        `answers_removed` (a language model's, to questions with their texts).
    """
    started = time.perf_counter()
    found = Redaction()
    for folder in runs_of(workspace, level):
        replace_records(folder)
    corrections = redact_corrections(workspace, level, deleted)
    answers = forget_answers(workspace, level.name, deleted)
    for folder in runs_of(workspace, level):
        _redact_run(load_run(workspace, level, folder.name), deleted, found)
    cut = redact_registries(workspace, level.name, deleted)
    removed = remove_artefacts(workspace, level, deleted, found)
    remove_leftovers(workspace, level.name, _IDLE_SECONDS)
    remove_exports(workspace, level.name)
    folder = workspace / level.name / "runs" / job_id
    result = Result(
        step="redact",
        key=deleted.digest,
        uri=str(folder),
        files={},
        metrics={
            "runs_rewritten": found.rewritten,
            "runs_given_up": found.given_up,
            "artefacts_removed": removed,
            "registries_cut": cut,
            "corrections_replaced": corrections,
            "answers_removed": answers,
        },
        seconds=time.perf_counter() - started,
    )
    write_atomically(folder / "redact.json", to_json(result.model_dump(mode="json")))
    return result


def _redact_run(run: Run, deleted: Tombstones, found: Redaction) -> None:
    named = deleted.among(run.settings.filter.document_ids or ())
    records = records_of(run.folder)
    if not named and not run_holds(records, deleted):
        return
    found.doomed |= {
        artefact_name(r.uri) for n, r in records.items() if n not in ("context", "redact")
    }
    mark_changed(run.folder)
    run = _without_names(run, named)
    if can_be_cut(records):
        found.kept |= {artefact_name(result.uri) for result in rewrite(run, records, deleted)}
        found.rewritten += 1
        log.info("run rewritten", job_id=run.job_id)
        return
    for name in records:
        run.discard(name)
    found.given_up += 1
    log.info("run given up: it begins again with `snapshot`", job_id=run.job_id)


def _without_names(run: Run, named: Iterable[str]) -> Run:
    """Take the ids of deleted documents out of a run's own settings."""
    gone = frozenset(named)
    if not gone:
        return run
    names = [GONE_NAME if name in gone else name for name in run.settings.filter.document_ids or ()]
    settings = run.settings.model_dump()
    settings["filter"]["document_ids"] = names
    run = replace(run, settings=type(run.settings).model_validate(settings))
    run.start()
    return run
