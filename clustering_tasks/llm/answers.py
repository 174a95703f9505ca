"""What a language model has answered: for all runs by content, and for one run by cluster.

`<workspace>/<level>/llm/<digest>.json` is an answer, named by all that the request has in it. It
never changes, so that no run asks the same thing twice. `runs/<job>/llm.json` says which answers a
run uses and how its requests ended, `runs/<job>/llm_spent.json` what they have cost so far.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.errors import BadInputError
from clustering_tasks.workspace.storage import read_json, to_json, write_atomically

_RECORD = "llm.json"
_SPENT = "llm_spent.json"

Ending = Literal[
    "answered", "cached", "failed", "timed_out", "unreadable", "invented", "over_budget", "given_up"
]
ENDINGS: tuple[Ending, ...] = get_args(Ending)


class Answer(BaseModel):
    """An answer.

    Attributes:
        label: that may be used.
        job_id: of the run that asked.
        sources: ids of the items and documents whose texts were in the question.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    job_id: str
    sources: list[str]


class Spent(BaseModel):
    """What a run has used up, over all of its tries."""

    requests: int = Field(0, ge=0)
    tokens: int = Field(0, ge=0)


class Asked(BaseModel):
    """How the questions of a run ended.

    Attributes:
        model: name of the model; None where it could not be asked at all.
        endings: questions by how they ended.
        answers: of a cluster the digest of its answer.
        refused: of a cluster why its answer is none: `unreadable` or `invented`.
        spent: see there.
        labels: digest of all answers' labels.
    """

    model_config = ConfigDict(frozen=True)

    model: str | None
    endings: dict[Ending, int]
    answers: dict[str, str]
    refused: dict[str, Ending] = Field(default_factory=dict)  # none of an earlier version
    spent: Spent
    labels: str

    @property
    def digest(self) -> str:
        """Of all that the step `label` takes from it."""
        return _digest(self.model_dump(mode="json"))


def request_digest(request: Mapping[str, Any]) -> str:
    """Name an answer by its request: model, messages and parameters."""
    return _digest(request)


def find_answer(workspace: UPath, level: str, digest: str) -> Answer | None:
    """Return an answer; None where it was never given, was removed, or is damaged."""
    return _read(_folder(workspace, level) / f"{digest}.json")


def keep_answer(workspace: UPath, level: str, digest: str, answer: Answer) -> None:
    """Write an answer."""
    write_atomically(_folder(workspace, level) / f"{digest}.json", to_json(answer.model_dump()))


def forget_answers(workspace: UPath, level: str, deleted: Tombstones) -> int:
    """Remove the answers to questions with texts of deleted documents, and damaged ones.

    Returns:
        how many.
    """
    folder, removed = _folder(workspace, level), 0
    for path in folder.iterdir() if deleted.hashes and folder.exists() else ():
        answer = _read(path)
        if answer is None or deleted.among(answer.sources):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def read_spent(folder: UPath) -> Spent:
    """Read what a run has used up; the folder is the run's."""
    try:
        return Spent.model_validate(read_json(folder / _SPENT))
    except FileNotFoundError:
        return Spent()


def write_spent(folder: UPath, spent: Spent) -> None:
    """Write what a run has used up."""
    write_atomically(folder / _SPENT, to_json(spent.model_dump()))


def write_asked(
    folder: UPath,
    model: str | None,
    endings: Mapping[Ending, int],
    answers: Mapping[str, tuple[str, str]],
    spent: Spent,
    refused: Mapping[str, Ending] | None = None,
) -> Asked:
    """Write how the questions of a run ended.

    Args:
        folder: of the run.
        model: see `Asked`.
        endings: the same.
        answers: of a cluster the digest and the label of its answer.
        spent: the same.
        refused: the same; None: there are none.
    """
    asked = Asked(
        model=model,
        endings={ending: endings.get(ending, 0) for ending in ENDINGS},
        answers={name: digest for name, (digest, _) in answers.items()},
        refused=dict(refused or {}),
        spent=spent,
        labels=_digest(sorted((name, label) for name, (_, label) in answers.items())),
    )
    write_atomically(folder / _RECORD, to_json(asked.model_dump(mode="json")))
    return asked


def read_asked(folder: UPath, digest: str | None = None) -> Asked | None:
    """Read what `write_asked` wrote; None where the run has asked nothing.

    Args:
        folder: of the run.
        digest: that it must have; None: any.

    Raises:
        BadInputError: it has another digest: a later try of the task has written it.
    """
    try:
        asked = Asked.model_validate(read_json(folder / _RECORD))
    except FileNotFoundError:
        asked = None
    if digest is not None and (asked is None or asked.digest != digest):
        raise BadInputError(
            f"{folder / _RECORD} is not what this try of `label` wrote: clear `label` with its "
            "downstream tasks"
        )
    return asked


def discard_asked(folder: UPath) -> None:
    """Remove what an earlier try wrote."""
    (folder / _RECORD).unlink(missing_ok=True)


def labels_of(workspace: UPath, level: str, asked: Asked | None) -> dict[str, str]:
    """Return the answered labels of a run by cluster; those that are removed are left out."""
    found = {
        name: find_answer(workspace, level, digest)
        for name, digest in (asked.answers if asked else {}).items()
    }
    return {name: answer.label for name, answer in found.items() if answer is not None}


def _read(path: UPath) -> Answer | None:
    try:
        return Answer.model_validate(read_json(path))
    except (FileNotFoundError, orjson.JSONDecodeError, ValidationError):
        return None  # it is asked for again


def _folder(workspace: UPath, level: str) -> UPath:
    return workspace / level / "llm"


def _digest(value: Mapping[str, Any] | Iterable[Any]) -> str:
    return hashlib.sha256(to_json(value)).hexdigest()[:32]
