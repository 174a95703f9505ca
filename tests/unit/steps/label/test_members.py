from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.steps.label import members
from clustering_tasks.steps.label.members import by_cluster

LABELS = st.lists(st.integers(-2, 6), max_size=40)


def table(count: int) -> pa.Table:
    rows = range(count)
    return pa.table(
        {
            "number": pa.array(rows, pa.int64()),
            "text": pa.array([f"t{n}" if n % 3 else None for n in rows], pa.string()),
            "time": pa.array([n * 10 if n % 2 else None for n in rows], pa.timestamp("us", "UTC")),
            "names": pa.array([[str(n)] * (n % 4) for n in rows], pa.list_(pa.string())),
        }
    )


@given(LABELS, st.integers(1, 50), st.integers(0, 9))
def test_each_cluster_has_its_rows_in_their_order(labels: list[int], group: int, cut: int) -> None:
    count = len(labels)
    # in chunks, as files are read
    whole = pa.concat_tables([table(count)[:cut], table(count)[cut:]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "_GROUP", group)
        found = list(by_cluster(whole, np.array(labels, dtype=np.int32), 7))
    assert len(found) == 7
    for cluster, columns in enumerate(found):
        rows = [row for row, label in enumerate(labels) if label == cluster]
        assert columns["number"].tolist() == rows
        assert columns["text"].tolist() == [f"t{n}" if n % 3 else None for n in rows]
        assert columns["names"].tolist() == [str(n) for n in rows for _ in range(n % 4)]
        expected: list[Any] = [n * 10 if n % 2 else None for n in rows]
        times = columns["time"]
        assert times.dtype == np.dtype("datetime64[us]")
        assert [None if np.isnat(t) else int(t.astype(int)) for t in times] == expected
