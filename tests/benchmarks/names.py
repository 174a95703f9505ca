"""Entities with and without what their names say (`merge.names`), against gold.

    PYTHONPATH=. python -m tests.benchmarks.names

Whole collections, and draws of ecbplus with up to so many documents a story, or a share of the
entities thinned to one mention.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from local.sample import write_sample
from tests.benchmarks import ours
from tests.benchmarks.collection import Collection, read_collection
from tests.benchmarks.measures import scores
from tests.benchmarks.quality import DATA
from tests.benchmarks.variants import at_most, thinned

LEVEL = "entities"
DOCUMENTS = (1, 3, 6)


def main() -> None:
    """Print a line for each collection, without and with names."""
    ours.quiet()
    with tempfile.TemporaryDirectory() as scratch:
        for name, collection in _collections(Path(scratch)):
            for names in (False, True):
                found = ours.found(collection, LEVEL, merge={"names": names})
                measured = scores(collection.levels[LEVEL].gold, found)
                values = " ".join(f"{measured[m]:.4f}" for m in ("f1", "precision", "conll"))
                print(f"{name}, merge.names={names}: {values}", flush=True)


def _collections(scratch: Path) -> Iterator[tuple[str, Collection]]:
    for folder in sorted(path.parent for path in DATA.glob("*/gold.json")):
        collection = read_collection(folder)
        if LEVEL in collection.levels:
            yield folder.name, collection
            yield from _drawn(collection)
    write_sample(scratch / "sample")
    yield "sample", read_collection(scratch / "sample")


def _drawn(collection: Collection) -> Iterator[tuple[str, Collection]]:
    documents = collection.levels["documents"]
    for most in DOCUMENTS:
        rows = at_most((most,))(documents.gold, np.random.default_rng(0))
        kept = collection.of_documents(documents.take(rows).documents)
        yield f"{collection.name}, {most} documents a story", kept
    for draw in thinned(
        {collection.name: collection}, draws=1, names=[f"{collection.name} {LEVEL}"]
    ):
        yield f"{collection.name}, {draw.fraction:.0%} thinned", draw.collection


if __name__ == "__main__":
    main()
