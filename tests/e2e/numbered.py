"""Members of two runs, to be compared: an id is of one run, who is with whom is not."""

import pyarrow as pa


def numbered(members: pa.Table) -> pa.Table:
    """Put in the place of each cluster's id the number of its first member among all clusters."""
    ids = members["cluster_id"].combine_chunks().dictionary_encode()  # in the order of the members
    at = members.column_names.index("cluster_id")
    return members.set_column(at, "cluster_id", ids.indices)
