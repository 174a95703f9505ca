"""Columns of the files that the step `identify` writes; the words in them are in `words`."""

import pyarrow as pa

_TIME = pa.timestamp("us", tz="UTC")

# One row for each id of the level that was ever published, and each that this run mints.
IDENTITIES = pa.schema(
    [
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("born_job", pa.string(), nullable=False),
        pa.field("born_at", _TIME, nullable=False),  # `as_of` of that run
        pa.field("last_seen_job", pa.string(), nullable=False),  # the last run that has the cluster
        pa.field("last_seen_at", _TIME, nullable=False),
        pa.field("successors", pa.list_(pa.string()), nullable=False),
        pa.field("version", pa.int32(), nullable=False),  # 1 at birth, + 1 when members change
    ]
)
# One row for each id whose row in IDENTITIES this run makes or changes, and each cluster of it.
LINEAGE = pa.schema(
    [
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("change", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),  # members in this run; 0: no cluster of it
        # JSON: [{"cluster_id": ..., "shared": 12, "of_it": .8, "of_this": 1.0}], the most first:
        # the clusters of earlier runs (for `absorbed` and `split` without a cluster: the later
        # ones) that share members, and which share of whose members.
        pa.field("related", pa.string(), nullable=False),
    ]
)
# One row for each item that matching may need: what a run within the look-back had, and what was a
# member of an id when that was last seen. Bit k of a mask stands for the k-th run back from the
# registry's own, which is bit 0.
ITEMS = pa.schema(
    [
        pa.field("vector_id", pa.string(), nullable=False),
        pa.field("document_id", pa.string()),
        pa.field("held", pa.uint32(), nullable=False),  # clustered or noise
        pa.field("clustered", pa.uint32(), nullable=False),
        pa.field("cluster_ids", pa.list_(pa.string()), nullable=False),
    ]
)
# One row for each cluster of the run, by the number that `merge` gave it.
IDS = pa.schema(
    [
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("previous_ids", pa.list_(pa.string()), nullable=False),
        pa.field("change", pa.string(), nullable=False),
        # Members that came or went since the id was last seen, as a share of those of then; null
        # for a new id.
        pa.field("changed", pa.float64()),
    ]
)
