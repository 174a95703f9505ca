"""The algorithms as data.

An algorithm's name is that of its module in `clustering_tasks.algorithms`, of the function in it,
and of its group in `RunSettings`. Whatever needs to know the algorithms reads `ALGORITHMS`; a new
one is a module, a group of settings and a line here. Nothing heavy is imported until an algorithm
is loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Algorithm:
    """One algorithm.

    Attributes:
        name: see above.
        centred: whether the mean vector is taken off the vectors: always, never, or only of stories
            (documents and storylines).
        uses_evidence: whether evidence and context count unless a caller asks otherwise.
        copies: copies of the features that it holds, the smoothed ones among them; the others read
            features where they need them.
        seconds_per_million: time for a million nodes of 768 dimensions on one thread, scaled from
            40,000; the two cores it was measured on do 10^8 products of two vectors a second.
        keeps: facts of a clustering that a second one of the same block keeps as settings.
        fallback: place in the order of algorithms for a machine too small for the others; None: not
            recommended as one.
    """

    name: str
    centred: Literal["always", "stories", "never"]
    uses_evidence: bool
    copies: int
    seconds_per_million: float
    keeps: tuple[str, ...] = ()
    fallback: int | None = None

    def load(self) -> Callable[..., Any]:
        """Import the algorithm's module and return its function.

        Returns:
            `(Block, RunSettings, Method) -> FlatClustering`, see `algorithms.interface`.
        """
        module = import_module(f"clustering_tasks.algorithms.{self.name}")
        function: Callable[..., Any] = getattr(module, self.name)
        return function


_ALL = (
    Algorithm(
        "agglomerative",
        centred="always",
        uses_evidence=True,
        copies=2,
        seconds_per_million=110,
        keeps=("linkage", "cut_similarity"),
    ),
    Algorithm(
        "hdbscan",
        centred="never",
        uses_evidence=False,
        copies=0,
        seconds_per_million=10,
        fallback=2,
    ),
    Algorithm(
        "kmeans",
        centred="always",
        uses_evidence=True,
        copies=2,
        seconds_per_million=20,
        keeps=("k",),
    ),
    Algorithm(
        "label_propagation",
        centred="stories",
        uses_evidence=True,
        copies=0,
        seconds_per_million=170,
        fallback=1,
    ),
    Algorithm("two_stage", centred="never", uses_evidence=False, copies=0, seconds_per_million=30),
)
ALGORITHMS = {algorithm.name: algorithm for algorithm in _ALL}
