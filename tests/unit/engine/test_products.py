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


# What reads matrix products of libraries, and must not show it.
WITH_LIBRARIES = """
import hashlib
import numpy as np
from clustering_tasks.engine.complete_linkage import complete_linkage
from clustering_tasks.engine.kmeans import kmeans
from clustering_tasks.engine.nearest_centroids import nearest_centroids

rng = np.random.default_rng(0)
centres = rng.standard_normal((60, 700))
vectors = (centres[rng.integers(0, 60, 3000)] + rng.standard_normal((3000, 700))).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
weights = rng.integers(1, 4, 3000).astype(np.int32)
nothing = np.full((3000, 1), -1, np.int32)
digest = hashlib.sha256()
for above in (0, 5000):
    centroids = kmeans(vectors, weights, 150, above)
    nearest = nearest_centroids(vectors, centroids)
    digest.update(centroids.tobytes() + nearest.ids.tobytes() + nearest.similarity.tobytes())
linkage = complete_linkage(vectors[:800], nothing[:800], nothing[:800] * 1.0, -1.0, 1000)
digest.update(linkage.first.tobytes() + linkage.second.tobytes() + linkage.similarity.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("program", [PROGRAM, WITH_LIBRARIES])
def test_bits_do_not_depend_on_the_processor_compiled_for(tmp_path: Path, program: str) -> None:
    """Nor on the kernels that a library picks for it, nor on the number of threads."""
    found = set()
    old = {"OPENBLAS_CORETYPE": "Prescott", "FAISS_SIMD_LEVEL": "NONE", "OMP_NUM_THREADS": "5"}
    processors: dict[str, dict[str, str]] = {"": {"OMP_NUM_THREADS": "1"}, "generic": old}
    for processor, libraries in processors.items():
        environment = {
            **os.environ,
            **libraries,
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CACHE_DIR": str(tmp_path / (processor or "host")),
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1
