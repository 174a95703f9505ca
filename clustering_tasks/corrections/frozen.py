"""The corrections of a run, as a file of the workspace that is named by its digest.

`<workspace>/<level>/corrections/<digest>.json` never changes, so that performing a step again
applies what the run began with. A run names its file in `run.json`.
"""

import hashlib
from collections.abc import Iterable, Sequence

import orjson
from pydantic import TypeAdapter, ValidationError
from upath import UPath

from clustering_tasks.corrections.contradictions import contradictions
from clustering_tasks.corrections.correction import LINKS, Correction
from clustering_tasks.errors import BadInputError
from clustering_tasks.workspace.storage import read_json, to_json, write_atomically

_ALL = TypeAdapter(list[Correction])
_SHOWN = 10  # problems of a file
# What a file of the command line may say beside the fields of a correction.
_REMARKS = ("reason", "made_by", "made_at")


def frozen_folder(workspace: UPath, level: str) -> UPath:
    """Return the folder of a level's files."""
    return workspace / level / "corrections"


def freeze(workspace: UPath, level: str, corrections: Iterable[Correction]) -> str | None:
    """Write the corrections of a run.

    Returns:
        the digest that names the file; None where there are no corrections, and no file.
    """
    kept = sorted(corrections, key=lambda each: each.correction_id)
    if not kept:
        return None
    content = to_json([each.model_dump(mode="json", exclude_defaults=True) for each in kept])
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = frozen_folder(workspace, level) / f"{digest}.json"
    if not path.exists():
        write_atomically(path, content)
    return digest


def read_frozen(workspace: UPath, level: str, digest: str | None) -> list[Correction]:
    """Read what `freeze` wrote; nothing where the digest is None.

    Raises:
        BadInputError: the file is gone or damaged.
    """
    if digest is None:
        return []
    path = frozen_folder(workspace, level) / f"{digest}.json"
    try:
        return _ALL.validate_python(read_json(path))
    except (FileNotFoundError, orjson.JSONDecodeError, ValidationError):
        raise BadInputError(
            f"{path}, the corrections of this run, is gone or damaged: clear `check_stage3` with "
            "its downstream tasks (in a terminal: start another run)"
        ) from None


def read_file(path: UPath, level: str) -> list[Correction]:
    """Read a file of corrections that a person wrote: a JSON array of objects.

    The corrections are numbered from 1 where they have no `correction_id`; `reason`, `made_by` and
    `made_at` are remarks.

    Args:
        path: of the file.
        level: singular name of the level that the clusters are of.

    Raises:
        BadInputError: the file cannot be read, a correction is not valid, or some contradict each
            other; every one is named.
    """
    try:
        written = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise BadInputError(f"there is no file {path}: --corrections takes a JSON file") from None
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"{path} is not valid JSON: {error}") from None
    try:
        found = _ALL.validate_python([_numbered(each, at) for at, each in enumerate(written, 1)])
    except (ValidationError, TypeError) as error:
        raise BadInputError(f"{path} holds no list of corrections: {_problems(error)}") from None
    _refuse(path, _impossible(found, level))
    return found


def _numbered(each: object, number: int) -> object:
    if not isinstance(each, dict):
        return each
    kept = {name: value for name, value in each.items() if name not in _REMARKS}
    return {"correction_id": number} | kept


def _problems(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return "it is no array"
    shown = [
        f"correction {int(each['loc'][0]) + 1}: {'.'.join(map(str, each['loc'][1:]))} {each['msg']}"
        for each in error.errors()[:_SHOWN]
    ]
    return "; ".join(shown)


def _impossible(found: Sequence[Correction], level: str) -> list[str]:
    numbers = [each.correction_id for each in found]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})[:_SHOWN]
    if twice:
        return [f"the correction_id {number} is given twice" for number in twice]
    strange = [
        f"{each.correction_id} is about {each.cluster_id}, which is no cluster of this level"
        for each in found
        if each.cluster_id and not each.cluster_id.startswith(f"{level}_")
    ]
    return [*strange, *map(str, contradictions(found))]


def _refuse(path: UPath, problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise BadInputError(f"{path}: {'; '.join(problems[:_SHOWN])}{more}")


def links_digest(corrections: Iterable[Correction]) -> str | None:
    """Digest what `merge` applies; None where there is nothing."""
    links = [each.model_dump(mode="json") for each in corrections if each.kind in LINKS]
    for each in links:
        del each["documents"]
    return hashlib.sha256(to_json(links)).hexdigest()[:32] if links else None
