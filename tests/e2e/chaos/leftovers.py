"""What faults have left: processes, rows, locks, files, events.

The system is asked, never the product.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import psutil

from local import services
from local.executor import IDLE
from local.postgres import AIRFLOW, RESULTS
from tests.e2e.chaos.installation import Installation

# What is at work when the last run has ended gets this long: a stopped supervisor finds out late.
SETTLE_SECONDS = 120
DELIVERY_SECONDS = 420  # a receiver that was away rests, for a minute and more
STRAY_TABLES = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = 'stage4' AND relkind = 'r'
AND relname ~ '^(clusters|members|points|load_identities|load_lineage)_[0-9]+$'
AND substring(relname FROM '[0-9]+$')::bigint NOT IN (SELECT load_id FROM stage4.runs)
"""
DETACHED = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = 'stage4' AND relkind = 'r' AND NOT relispartition
AND relname ~ '^(clusters|members|points|load_identities|load_lineage)_[0-9]+$'
"""
ORPHANS = """
SELECT 'clusters of no run', load_id::text FROM stage4.clusters
LEFT JOIN stage4.runs USING (load_id) WHERE runs.load_id IS NULL
UNION SELECT 'members of no run', load_id::text FROM stage4.members
LEFT JOIN stage4.runs USING (load_id) WHERE runs.load_id IS NULL
"""
TWICE = """
SELECT level, job_id, count(*) FROM stage4.runs WHERE job_id <> ALL(%s)
GROUP BY 1, 2 HAVING count(*) > 1
"""
PUBLISHED_TWICE = """
SELECT job_id, count(*) FROM stage4.publications WHERE act = 'publish' AND job_id <> ALL(%s)
GROUP BY 1 HAVING count(*) > 1
"""
SESSIONS = """
SELECT state, left(query, 80), wait_event_type FROM pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()
AND (state <> 'idle' AND now() - coalesce(xact_start, now()) > interval '10 s')
"""
LOCKS = "SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = %s)"  # noqa: E501
UNENDED = """
SELECT dag_id, run_id, task_id, task_instance.state
FROM task_instance JOIN dag_run USING (dag_id, run_id)
WHERE dag_run.state IN ('success', 'failed') AND dag_id LIKE 'cluster%%'
AND task_instance.state IN ('running', 'queued', 'scheduled', 'deferred', 'restarting')
"""


def settled(found: Callable[[], list[str]], seconds: float = SETTLE_SECONDS) -> list[str]:
    """What is still there after a while; nothing as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while (left := found()) and time.monotonic() < deadline:
        time.sleep(1)
    return left


def processes(installation: Installation) -> list[str]:
    """Steps, tasks and supervisors of tasks that still run, but for those that send events."""
    return [
        f"process {name}"
        for name in map(_title, services.members(installation.stack.state))
        if ("clustering_tasks" in name or "LocalExecutor: " in name or "task runner" in name)
        and name != IDLE
        and not any(dag in name for dag in ("send_events", "receive_events"))
    ]


def containers(installation: Installation) -> list[str]:
    """Containers of steps, at work or ended."""
    if installation.engine is None:
        return []
    return [f"container {each['Names']}" for each in installation.engine.containers()]


def rows(installation: Installation) -> list[str]:
    """Tables and rows of no run, doubled ones, locks, hanging transactions, tasks of ended runs."""
    asked = {
        "table of no run": STRAY_TABLES,
        "detached partition": DETACHED,
        "orphan": ORPHANS,
    }
    found = [f"{what} {row}" for what, query in asked.items() for row in installation.rows(query)]
    again = [*installation.loaded_again]
    found += [f"loaded twice {row}" for row in installation.rows(TWICE, again)]
    found += [f"published twice {row}" for row in installation.rows(PUBLISHED_TWICE, again)]
    for database in (RESULTS, AIRFLOW):
        found += [f"session {row}" for row in installation.rows(SESSIONS, database)]
    found += [f"lock {row}" for row in installation.rows(LOCKS, RESULTS)]
    return found + [f"task {row}" for row in installation.rows(UNENDED, of=AIRFLOW)]


def files(installation: Installation) -> list[str]:
    """Drafts, copies, exports, checkpoints; attempts are counted apart (`attempts`)."""
    folders = (installation.airflow.workspace, installation.airflow.output)
    return [f"file {path}" for folder in folders for path in _walk(folder) if _is_left(path)]


def attempts(installation: Installation) -> list[Path]:
    """Folders of tries that were ended by SIGKILL: `housekeeping` removes them after two days."""
    found = []
    for level in installation.airflow.workspace.iterdir():
        for artefact in level.glob("artefacts/*/*"):
            result = artefact / "result.json"
            names = json.loads(result.read_bytes())["files"].values() if result.exists() else ()
            needed = {Path(name).parent.name for name in names}
            found += [
                each for each in artefact.iterdir() if each.is_dir() and each.name not in needed
            ]
        found += level.glob("runs/*/copy-*")
    return found


def events(installation: Installation, job: str) -> list[str]:
    """A job's events that the receiver has not got, got out of order, or got and nobody wrote."""
    if installation.hook is None:
        return []
    return [
        *_undelivered(installation, job),
        *_wrongly_received(installation, job),
        *_wrongly_written(installation, job),
    ]


def _undelivered(installation: Installation, job: str) -> Iterator[str]:
    for row in installation.rows(
        "SELECT receiver, state, count(*), max(last_error) FROM stage4.deliveries"
        " WHERE state <> 'delivered' AND job_id = %s GROUP BY 1, 2",
        job,
    ):
        yield f"deliveries {row}"
    query = "SELECT count(*) FROM stage4.outbox WHERE routed_at IS NULL AND job_id = %s"
    for row in installation.rows(query, job):
        if row[0]:
            yield f"{row[0]} events are not routed"


def _wrongly_received(installation: Installation, job: str) -> Iterator[str]:
    assert installation.hook is not None
    written = {
        str(event): (job, sequence)
        for event, sequence in installation.rows(
            "SELECT event_id, sequence FROM stage4.outbox WHERE job_id = %s", job
        )
    }
    first: dict[str, tuple[str, int]] = {}
    for got in list(installation.hook.received):
        if got.place[0] == job:
            first.setdefault(got.headers["webhook-id"], got.place)
    yield from (
        f"event {place} was sent and is not written"
        for key, place in first.items()
        if key not in written
    )
    yield from (
        f"event {place} was never received" for key, place in written.items() if key not in first
    )
    last = 0
    for _, sequence in first.values():
        if sequence != last + 1:
            yield f"event {sequence} of {job} came behind {last}"
        last = sequence


def _wrongly_written(installation: Installation, job: str) -> Iterator[str]:
    """Each publication has its two events, each run its end."""
    for row in installation.rows(
        "WITH told AS (SELECT count(*) AS events FROM stage4.outbox WHERE job_id = %s"
        " AND type IN ('clustering.job.completed', 'clustering.clusters.changed'))"
        " SELECT count(*), events FROM stage4.publications, told WHERE job_id = %s"
        " GROUP BY events HAVING events <> 2 * count(*)",
        *(job, job),
    ):
        yield f"publication and its events {row}"
    for row in installation.rows(
        "SELECT job_id, state FROM stage4.event_jobs"
        " WHERE ended_at IS NULL AND state IS NOT NULL AND job_id = %s",
        job,
    ):
        yield f"job without an end {row}"


def strangers(installation: Installation, jobs: Collection[str]) -> list[str]:
    """Jobs that an event or a publication tells of, and that nobody has asked for."""
    query = "SELECT job_id FROM stage4.outbox UNION SELECT job_id FROM stage4.publications"
    told = {job for (job,) in installation.rows(query)}
    if installation.hook is not None:
        told |= {got.place[0] for got in list(installation.hook.received)}
    return [f"job {job}, which nobody asked for" for job in sorted(told.difference(jobs))]


def keys(installation: Installation) -> list[str]:
    """Publications that Stage 5 was not told of, by the keys that it got."""
    told = set(installation.airflow.stage5.keys)
    return [
        f"publication {number} of {job}, which Stage 5 was not told of"
        for number, job in installation.rows(
            "SELECT publication_id, job_id FROM stage4.publications WHERE act = 'publish'"
        )
        if f"{job}.{number}" not in told
    ]


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *names))


def _is_left(path: Path) -> bool:
    name = path.name
    return (
        name.startswith((".", "tmp"))
        or name.endswith((".tmp", ".part", ".draft", ".checkpoint"))
        or path.parent.name == "exports"
    )


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
