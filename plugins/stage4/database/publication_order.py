"""In which order a run is published: the same decisions and effects, whatever holds rows and files.

`tests/core` drives it with a crash between any two effects.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Verdict = Literal["published", "superseded", "ids_again"]


class Candidate(Protocol):
    """A run that is to be published, while nobody else may move the pointer of its level.

    What is done to rows holds when the transaction commits; what is done to files, at once.
    """

    def refuse_canceled(self) -> None:
        """Raise where the run's job was canceled."""

    def put_back_files(self) -> None:
        """Withdraw the files of another run whose publication was cut off."""

    def find_load(self) -> int:
        """Return the number of the run's last load; raise where there is none."""

    def pass_gate(self, load_id: int) -> None:
        """Raise where the run is not good enough."""

    def is_superseded(self) -> bool:
        """Tell whether the pointer is at a run for a later moment."""

    def refuse_lost_ids(self) -> None:
        """Raise where the files know nothing of what is published."""

    def goes_on_from_the_published(self, load_id: int) -> bool:
        """Tell whether the ids of files and load go on from what they would go on from now."""

    def publish_files(self) -> bool:
        """Publish the files; False, and nothing is changed, where they are of a later moment."""

    def move_pointer(self, load_id: int) -> int:
        """Let readers see a load; returns the number of the publication."""

    def write_completion(self, publication_id: int) -> None:
        """Write the event of the publication, unless it is written."""


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt to publish.

    Attributes:
        verdict: `ids_again`: nothing was changed, and the run's ids are to be made again.
        load_id: of the run.
        publication_id: None: not published.
    """

    verdict: Verdict
    load_id: int
    publication_id: int | None = None


def publish_in_order(run: Candidate) -> Outcome:
    """Publish a run, or say why not; safe to repeat."""
    run.put_back_files()
    run.refuse_canceled()
    load_id = run.find_load()
    run.pass_gate(load_id)
    if run.is_superseded():
        return Outcome("superseded", load_id)
    run.refuse_lost_ids()
    if not run.goes_on_from_the_published(load_id):
        return Outcome("ids_again", load_id)
    if not run.publish_files():
        return Outcome("superseded", load_id)
    publication_id = run.move_pointer(load_id)
    run.write_completion(publication_id)
    return Outcome("published", load_id, publication_id)
