"""The cache of compiled kernels: a change anywhere below a kernel compiles it again."""

import shutil
import subprocess
import sys
from pathlib import Path

import clustering_tasks

PROGRAM = """
import numpy as np
from clustering_tasks.engine.silhouette_cut import number

print(number(np.array([0, 0, 1], dtype=np.int32)).tolist(), number.stats.cache_hits)
"""
FOLLOWED = "def find(parent: I32, node: int) -> int:\n"


def run(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_change_of_a_kernel_that_another_one_calls_is_not_lost(tmp_path: Path) -> None:
    copy = tmp_path / "clustering_tasks"
    package = Path(clustering_tasks.__file__).parent
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path).startswith("[0, 0, 0] Counter()")
    assert "): 1}" in run(tmp_path)  # it came from the cache
    called = copy / "engine" / "disjoint_set.py"
    source = called.read_text()
    assert FOLLOWED in source
    called.write_text(source.replace(FOLLOWED, f"{FOLLOWED}    return node\n"))
    assert run(tmp_path).startswith("[0, 1, 2] ")
