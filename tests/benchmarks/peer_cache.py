"""What peers score on a level, kept between benchmarks: it does not depend on this project."""

import json
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from inspect import getsource

import numpy as np

from tests.benchmarks import leiden
from tests.benchmarks import peers as peers_module
from tests.benchmarks.collection import Items
from tests.benchmarks.history import ROOT
from tests.benchmarks.quality import peers

FOLDER = ROOT / ".local" / "benchmarks" / "peers"
_PACKAGES = ("hdbscan", "scipy", "evoc", "igraph")


def cached_peers(items: Items) -> dict[str, float]:
    """B-cubed F1 of each peer's setting, computed once for the same vectors and gold."""
    path = FOLDER / f"{_digest(items)}.json"
    if path.exists():
        kept: dict[str, float] = json.loads(path.read_bytes())
        return kept
    found = peers(items)
    FOLDER.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(f".{_digest(items)[:8]}")  # never half a file, if two processes write
    whole.write_text(json.dumps(found))
    whole.replace(path)
    return found


def _digest(items: Items) -> str:
    """Name of what the scores depend on: vectors, gold, the settings in use, the packages."""
    gold = np.unique(items.gold, return_inverse=True)[1].astype(np.int32)
    parts = (items.vectors.tobytes(), gold.tobytes(), _code())
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@cache
def _code() -> bytes:
    versions = " ".join(f"{name} {version(name)}" for name in _PACKAGES)
    code = [getsource(module) for module in (peers_module, leiden)]
    return "\n".join([*code, versions]).encode()
