"""The registry: what a run leaves behind for the next one to go on from.

Two Parquet files, `identities` with a row for each id and `items` with the members that matching
needs, and a record of JSON that names the run.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.identity.columns import IDENTITIES, ITEMS
from clustering_tasks.identity.published import (
    FOLDER,
    LABEL,
    RESTORE,
    Base,
    beside,
    label_artefact,
)
from clustering_tasks.workspace.damage import refusing_damage
from clustering_tasks.workspace.storage import read_json, recorded_time, to_json, write_atomically


@dataclass(frozen=True)
class RegistryFiles:
    """Where a registry lies.

    Attributes:
        identities: of `IDENTITIES`.
        items: of `ITEMS`.
        record: `job_id`, `as_of`, `base`, `runs`, and the `digest` of the other two.
    """

    identities: UPath
    items: UPath
    record: UPath


@dataclass(frozen=True)
class Registry:
    """What is known of all ids after a run.

    Attributes:
        job_id: of the run.
        as_of: of the run.
        base: name of what the run went on from; None: of nothing.
        runs: the run and those before it that the masks of `items` have a bit for.
        identities: of `IDENTITIES`, by id.
        items: of `ITEMS`.
    """

    job_id: str
    as_of: datetime
    base: str | None
    runs: tuple[str, ...]
    identities: pa.Table
    items: pa.Table

    def write(self, files: RegistryFiles) -> None:
        """Write the files; the record last."""
        for table, path in ((self.identities, files.identities), (self.items, files.items)):
            with path.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
        record = {
            "job_id": self.job_id,
            "as_of": self.as_of,
            "base": self.base,
            "runs": self.runs,
            "digest": _digest(files),
        }
        write_atomically(files.record, to_json(record))

    def without(self, gone: Callable[[Iterable[str]], frozenset[str]]) -> Self | None:
        """Take the items of documents out; None where it has none of them.

        An id stays while it has two members.

        Args:
            gone: returns those of some documents whose items go.
        """
        documents = self.items["document_id"].combine_chunks()
        names = gone(documents.unique().drop_null().to_pylist())
        if not names:
            return None
        going = pc.fill_null(pc.is_in(documents, pa.array(sorted(names), pa.string())), False)
        items = self.items.filter(pc.invert(going))
        touched = _members(self.items.filter(going)).unique()
        identities = _with_new_version(self.identities, touched)
        cut = replace(self, items=items, identities=identities)
        return cut.dissolve(_with_few_members(items, touched))

    def dissolve(self, cluster_ids: pa.Array) -> Self:
        """Enter that the clusters of ids are gone with their deleted members."""
        gone = pc.and_(
            pc.is_in(self.identities["cluster_id"], cluster_ids),
            pc.is_in(self.identities["state"], pa.array(["active", "dormant"])),
        )
        state = pc.if_else(gone, "deleted", self.identities["state"])
        return replace(self, identities=_with_column(self.identities, "state", state))


def published_files(identities: UPath) -> RegistryFiles:
    """Return the files of a published registry."""
    return RegistryFiles(identities, beside(identities, "items"), beside(identities, "record"))


def nothing(job_id: str, as_of: datetime) -> Registry:
    """Return a registry without any id."""
    return Registry(job_id, as_of, None, (), IDENTITIES.empty_table(), ITEMS.empty_table())


def read_base(workspace: UPath, level: str, base: Base) -> Registry:
    """Read what a run goes on from."""
    if base.name.startswith(LABEL):
        return _adopted(label_artefact(workspace, level, base.name), base)
    return read_registry(published_files(workspace / level / FOLDER / base.name))


def read_registry(files: RegistryFiles, *, verify: bool = True) -> Registry:
    """Read a registry's files.

    Args:
        files: where they lie.
        verify: whether to compare their digest with the recorded one; a redaction that was killed
            has replaced some of them.

    Raises:
        BadInputError: one is gone or damaged, or has been edited.
    """
    with refusing_damage(files.record, RESTORE):
        record = read_json(files.record)
        found = Registry(
            job_id=record["job_id"],
            as_of=recorded_time(record["as_of"]),
            base=record["base"],
            runs=tuple(record["runs"]),
            identities=_read(files.identities, IDENTITIES),
            items=_read(files.items, ITEMS),
        )
        if verify and record["digest"] != _digest(files):
            raise BadInputError(
                f"{files.identities} or {files.items.name} beside it is not what the run wrote: "
                f"their digest is not that of {files.record.name}; {RESTORE}"
            )
    return found


def _read(path: UPath, schema: pa.Schema) -> pa.Table:
    with refusing_damage(path, RESTORE), path.open("rb") as file:
        found = pq.read_table(file)
        if missing := sorted({*schema.names} - {*found.column_names}):
            raise ValueError(f"it has no columns {missing}")
    return found


def _digest(files: RegistryFiles) -> str:
    digest = hashlib.sha256()
    for path in (files.identities, files.items):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _adopted(artefact: UPath, base: Base) -> Registry:
    """Make a registry of the clusters that a version without one has published."""
    with refusing_damage(artefact / "result.json", RESTORE):
        path = UPath(read_json(artefact / "result.json")["files"]["members_csv"])
    names = ["vector_id", "document_id", "cluster_id", "status"]
    convert = pa_csv.ConvertOptions(
        include_columns=names,
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    with refusing_damage(path, RESTORE), path.open("rb") as file:
        members = pa_csv.read_csv(file, parse_options=parse, convert_options=convert)
    return adopt(members, base.job_id, base.as_of)


def adopt(members: pa.Table, job_id: str, as_of: datetime) -> Registry:
    """Make a registry of clusters that have ids already.

    Args:
        members: `vector_id`, `document_id`, `cluster_id`, `status`.
        job_id: of the run that has them.
        as_of: of the run.
    """
    held = members.filter(pc.is_in(members["status"], pa.array(["clustered", "noise"])))
    ids = held["cluster_id"].combine_chunks()
    clustered = pc.is_valid(ids)
    offsets = np.append(0, np.cumsum(clustered.to_numpy(zero_copy_only=False)))
    items = {
        "vector_id": held["vector_id"],
        "document_id": held["document_id"],
        "held": pa.array(np.ones(len(held), dtype=np.uint32)),
        "clustered": clustered.cast(pa.uint32()),
        "cluster_ids": pa.ListArray.from_arrays(offsets.astype(np.int32), ids.drop_null()),
    }
    return Registry(
        job_id=job_id,
        as_of=as_of,
        base=None,
        runs=(job_id,),
        identities=born(sorted(ids.unique().drop_null().to_pylist()), job_id, as_of),
        items=pa.table(items).cast(ITEMS),
    )


def born(cluster_ids: list[str], job_id: str, as_of: datetime) -> pa.Table:
    """Return the rows of ids, of `IDENTITIES`, that a run mints."""
    n = len(cluster_ids)
    columns: dict[str, Any] = {
        "cluster_id": cluster_ids,
        "state": ["active"] * n,
        "born_job": [job_id] * n,
        "born_at": [as_of] * n,
        "last_seen_job": [job_id] * n,
        "last_seen_at": [as_of] * n,
        "successors": [[]] * n,
        "version": [1] * n,
    }
    return pa.table(columns, schema=IDENTITIES)


def _members(items: pa.Table) -> pa.Array:
    """Return the ids of all memberships of some items, one after the other."""
    return items["cluster_ids"].combine_chunks().flatten()


def _with_few_members(items: pa.Table, ids: pa.Array) -> pa.Array:
    """Return those of some ids that have fewer than two members."""
    counts = pc.value_counts(_members(items))
    many = counts.field("values").filter(pc.greater_equal(counts.field("counts"), 2))
    return ids.filter(pc.invert(pc.is_in(ids, many)))


def _with_new_version(identities: pa.Table, touched: pa.Array) -> pa.Table:
    """Count the versions of ids on whose members have changed."""
    changed = pc.cast(pc.is_in(identities["cluster_id"], touched), pa.int32())
    return _with_column(identities, "version", pc.add(identities["version"], changed))


def _with_column(identities: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    field = IDENTITIES.field(name)
    return identities.set_column(identities.column_names.index(name), field, values)
