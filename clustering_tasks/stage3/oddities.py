"""What is odd with an input but no error: counted, with the first example of each."""

from collections import Counter
from collections.abc import Mapping

from clustering_tasks.stage3.text import cut
from clustering_tasks.workspace.artefacts import Metric

_LONGEST = 60  # characters of an example's value
_SUFFIX = "_example"


class Oddities(Counter[str]):
    """Counts by name, and examples for people.

    An example is a field and a value; it names no item, so that a report holds no id.

    Attributes:
        examples: by name, of the first that was counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.examples: dict[str, str] = {}

    def note(self, name: str, field: str, value: object) -> None:
        """Count something, and keep the first value as its example."""
        self[name] += 1
        if name not in self.examples:
            self.examples[name] = f"{field}: {cut(repr(value), _LONGEST)}"


def unread(field: str) -> str:
    """Name the count of the items whose field could not be read, or not all of it."""
    return f"unread_{field}"


def example_of(name: str) -> str:
    """Name the metric that holds the example of a count."""
    return f"{name}{_SUFFIX}"


def without_examples(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return metrics of a snapshot without values of its items."""
    return {name: value for name, value in metrics.items() if not name.endswith(_SUFFIX)}
