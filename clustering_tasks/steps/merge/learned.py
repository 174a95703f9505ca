"""What a clustering has learned from the whole graph, for the runs that continue it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import orjson
from upath import UPath

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.evidence.check import CheckedEvidence
from clustering_tasks.evidence.pairs import DocumentTrust
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Metric
from clustering_tasks.workspace.storage import to_json


@dataclass(frozen=True)
class Learned:
    """What a run keeps of the one that it continues.

    Attributes:
        weights: of the evidence, after its check; None where nothing but the vectors counts.
        facts: what the algorithm chose, as settings of a second clustering.
        trust: in documents; None: in all of them.
        story: (n,) int32 row in `trust` of each node, -1 for none.
    """

    weights: Weights | None
    facts: Mapping[str, Metric]
    trust: DocumentTrust | None
    story: I32

    def save(self, path: UPath) -> None:
        """Write it to an `.npz` file."""
        chosen = {
            "weights": None if self.weights is None else asdict(self.weights),
            "facts": dict(self.facts),
        }
        trust = {} if self.trust is None else asdict(self.trust)
        with path.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                chosen=np.frombuffer(to_json(chosen), np.uint8),
                story=self.story,
                **{f"trust-{name}": np.asarray(value) for name, value in trust.items()},
            )

    def trusting(self, former: I32, story: I32, documents: int) -> "Learned":
        """Number the documents as another run does; new ones get the mean trust.

        Args:
            former: (m,) node of this run that each node of the other is, -1 for new ones.
            story: (m,) document of the other's nodes, -1 for none.
            documents: of the other run.
        """
        trust = self.trust
        if trust is None:
            return replace(self, story=story)
        kept = np.flatnonzero((former >= 0) & (story >= 0))
        kept = kept[self.story[former[kept]] >= 0]
        rows = self.story[former[kept]]

        def of(values: F32) -> F32:
            known = np.full(documents, values.mean() if len(values) else 1, dtype=np.float32)
            known[story[kept]] = values[rows]
            return known

        trust = replace(trust, of_document=of(trust.of_document), by_chance=of(trust.by_chance))
        return replace(self, trust=trust, story=story)


def learned(known: CheckedEvidence | None, facts: Mapping[str, Metric]) -> Learned:
    """Gather what a full run has learned."""
    if known is None:
        return Learned(None, facts, None, np.empty(0, np.int32))
    return Learned(known.weights, facts, known.facts.trust, known.facts.stories.of_node)


def load_learned(path: UPath) -> Learned:
    """Read what `Learned.save` wrote."""
    with open_arrays(path) as arrays:
        chosen = orjson.loads(arrays["chosen"].tobytes())
        trust: dict[str, Any] = {
            n.partition("-")[2]: arrays[n] for n in arrays if n.startswith("trust-")
        }
        if trust:
            trust["chance_gap"] = float(trust["chance_gap"])
        return Learned(
            weights=None if chosen["weights"] is None else Weights(**chosen["weights"]),
            facts=chosen["facts"],
            trust=DocumentTrust(**trust) if trust else None,
            story=arrays["story"],
        )
