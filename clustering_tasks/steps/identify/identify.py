"""Step `identify`: which cluster of this run is which cluster of the runs before."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.csv import write_csv
from upath import UPath

from clustering_tasks.identity.published import Base, find_base
from clustering_tasks.identity.registry import Registry, RegistryFiles, nothing, read_base
from clustering_tasks.identity.succession import Found, succeed
from clustering_tasks.identity.words import CHANGES
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns


def identify(run: Run) -> Result:
    """Give each cluster its lasting id, and write what became of all earlier ones.

    Raises:
        BadInputError: the published ids that the run has to go on from are gone.
    """
    snapshot, merge = run.result("snapshot"), run.result("merge")
    base = find_base(run.workspace, run.level.name, run.job_id, run.as_of)
    # An id is made of the run, so the artefact belongs to this run alone.
    extra = [run.job_id, run.as_of, run.level.name, base.key if base else None]
    read = run.settings.model_dump(include={"identity"})
    key = artefact_key("identify", [snapshot, merge], read, extra)
    return perform(
        run, "identify", key, lambda attempt: _identify(run, snapshot, merge, base, attempt)
    )


def _identify(
    run: Run, snapshot: Result, merge: Result, base: Base | None, attempt: Attempt
) -> None:
    before = (
        read_base(run.workspace, run.level.name, base) if base else nothing(run.job_id, run.as_of)
    )
    found = Found(
        level=run.level.name,
        job_id=run.job_id,
        as_of=run.as_of,
        cluster_type=run.level.cluster_type,
        base=base.name if base else None,
        items=pa.table(read_columns(snapshot.path("items"), ["vector_id", "document_id"])),
        assignments=pa.table(
            read_columns(merge.path("assignments"), ["cluster", "status", "near_duplicate"])
        ),
        clusters=int(merge.metrics["clusters"] or 0),
    )
    done = succeed(before, found, run.settings.identity.look_back)
    write_files(attempt, done.registry, done.ids, done.lineage)
    changes = done.lineage["change"].to_pylist()
    attempt.metrics = {change: changes.count(change) for change in CHANGES} | {
        "base": base.name if base else None,
        "base_digest": base.digest if base else None,
        "base_job": base.job_id if base else None,
    }


def write_files(attempt: Attempt, registry: Registry, ids: pa.Table, lineage: pa.Table) -> None:
    """Write the files of `identify`.

    Args:
        attempt: that gets the files.
        registry: of all ids after the run.
        ids: of `IDS`.
        lineage: of `LINEAGE`.
    """
    registry.write(
        RegistryFiles(
            identities=attempt.new_file("identities", "identities.parquet"),
            items=attempt.new_file("items", "items.parquet"),
            record=attempt.new_file("record", "record.json"),
        )
    )
    for name, table in (("ids", ids), ("lineage", lineage)):
        _write_parquet(table, attempt.new_file(name, f"{name}.parquet"))
    for name, table in (("identities", registry.identities), ("lineage", lineage)):
        _write_csv(table, attempt.new_file(f"{name}_csv", f"{name}.csv"))


def _write_parquet(table: pa.Table, path: UPath) -> None:
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd")


def _write_csv(table: pa.Table, path: UPath) -> None:
    """Write a table for COPY; lists are JSON text."""
    for at, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            table = table.set_column(at, field.name, _as_json(table[field.name]))
    with path.open("wb") as file:
        write_csv(table, file)


def _as_json(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write lists of ids, which need no escapes."""
    joined = pc.binary_join_element_wise('["', pc.binary_join(lists, '","'), '"]', "")
    return pc.if_else(pc.equal(pc.list_value_length(lists), 0), "[]", joined)
