"""The pipeline as data: the steps of a level, in their order.

A step's name is the id of its task in the Airflow graph, its sub-command on the command line, the
folder of its artefacts, and the package below this one: `<name>/<name>.py` holds the function
`<name>`. Whatever needs to know the steps reads `STEPS`; a new step is a package and a line here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

ErasedBy = Literal["cut", "redo", "drop"]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: see above.
        does: one sentence for the DAG's page and the command line's help.
        reads: earlier steps whose results the step reads.
        reads_stage3: whether it reads Stage 3's folder: the step starts a run.
        reads_deletions: whether it gets the secret that deleted documents are known by.
        gpu: whether it can use a GPU.
        mapped: whether each of the parts that the step before returned is a task of its own.
        optional: whether a run is published without its result.
        asks: whether its result may have questions for a language model; it is then performed
            again, with the answers.
        erased_by: how a deletion treats its artefact: `cut` (`redact` writes it without the
            deleted items), `redo` (the function `write` of its module writes it again from the
            artefacts that it reads), `drop`.
    """

    name: str
    does: str
    reads: tuple[str, ...] = ()
    reads_stage3: bool = False
    reads_deletions: bool = False
    gpu: bool = False
    mapped: bool = False
    optional: bool = False
    asks: bool = False
    erased_by: ErasedBy = "redo"

    def load(self, function: str | None = None) -> Callable[..., Any]:
        """Import the step's module, and none but its own libraries.

        Args:
            function: of the module; default: the step's own.
        """
        module = import_module(f"{__name__}.{self.name}.{self.name}")
        loaded: Callable[..., Any] = getattr(module, function or self.name)
        return loaded


STEPS = (
    Step(
        "snapshot",
        "copies the vectors and their metadata, checks every one, sorts them by id",
        reads_stage3=True,
        reads_deletions=True,
        erased_by="cut",
    ),
    Step(
        "plan",
        "divides the level into parts, and refuses a run that does not fit into this machine",
        reads=("snapshot",),
        erased_by="drop",
    ),
    Step(
        "cluster",
        "finds the neighbours of one part's items; mapped, one task per part",
        reads=("plan",),
        gpu=True,
        mapped=True,
        erased_by="drop",
    ),
    Step(
        "merge",
        "computes one clustering from all parts, and measures its quality",
        reads=("snapshot", "plan", "cluster"),
        erased_by="cut",
    ),
    Step(
        "tag",
        "tags clusters, and the members that their tags apply to",
        reads=("snapshot", "merge"),
    ),
    Step(
        "trend",
        "compares how many members came in the last days with the days before",
        reads=("snapshot", "merge"),
    ),
    Step(
        "identify",
        "gives each cluster the id that it had in the runs before, or a new one",
        reads=("snapshot", "merge"),
        erased_by="cut",
    ),
    Step(
        "label",
        "gives each cluster a label, keywords and representatives",
        reads=("snapshot", "merge", "identify", "tag", "trend"),
        asks=True,
    ),
    Step(
        "map",
        "places clusters and members for the explorer's map",
        reads=("snapshot", "merge", "label"),
        optional=True,
    ),
)
# The step of the DAG `delete_document`: it works on all runs of a level, and is part of none.
REDACT = Step(
    "redact",
    "takes deleted documents out of a level's runs; the DAG `delete_document` performs it",
    reads_deletions=True,
    erased_by="drop",
)

FIRST = next(step for step in STEPS if step.reads_stage3)
MAPPED = next(step for step in STEPS if step.mapped)
PLANNING = STEPS[STEPS.index(MAPPED) - 1]  # returns the parts


def find_step(name: str) -> Step:
    """Return the step of a name.

    Raises:
        KeyError: there is no such step.
    """
    return {step.name: step for step in (*STEPS, REDACT)}[name]
