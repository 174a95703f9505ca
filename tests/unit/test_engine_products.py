"""The same bits, whatever processor a kernel was compiled for."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clustering_tasks.engine.products import dot, squared_distance

PROGRAM = """
import hashlib
import numpy as np
from clustering_tasks.engine.neighbours import exact_distances
from clustering_tasks.engine.smoothing import smooth

rng = np.random.default_rng(0)
vectors = rng.standard_normal((300, 771)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
ids = rng.integers(0, 300, (300, 20)).astype(np.int32)
distances = np.empty(ids.shape, np.float32)
exact_distances(vectors, vectors, np.arange(ids.size), 0, ids, distances)
smoothed = smooth(vectors, ids, distances * 0.7, np.ones(300, np.int32))
print(hashlib.sha256(distances.tobytes() + smoothed.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("length", [1, 7, 8, 768, 771])
def test_products_are_those_of_numpy(length: int) -> None:
    a, b = np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)
    assert dot(a, b) == pytest.approx(float(a.astype(float) @ b), rel=1e-4, abs=1e-4)
    assert squared_distance(a, b) == pytest.approx(float(np.square(a - b).sum()), rel=1e-4)


def test_bits_do_not_depend_on_the_processor_compiled_for(tmp_path: Path) -> None:
    found = set()
    for processor in ("", "generic"):
        environment = {
            **os.environ,
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CACHE_DIR": str(tmp_path / (processor or "host")),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1
