"""What a level's runs have recorded, and how new records replace old ones."""

from pydantic import ValidationError
from upath import UPath

from clustering_tasks.settings.levels import Level
from clustering_tasks.steps import STEPS
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.storage import read_json, write_atomically

REPLACED = tuple(step.name for step in STEPS if step.erased_by != "drop")
NEW = "new-"
COMPLETE = "new"  # the record that says that all `new-` ones are there


def runs_of(workspace: UPath, level: Level) -> list[UPath]:
    """Name the folders of a level's runs, in the order of their names."""
    folder = workspace / level.name / "runs"
    if not folder.exists():
        return []
    found = [path for path in folder.iterdir() if (path / "run.json").exists()]
    return sorted(found, key=lambda path: path.name)


def records_of(folder: UPath) -> dict[str, Result]:
    """What a run has recorded of its steps, by name."""
    found = {}
    for path in sorted(folder.glob("*.json"), key=str):
        try:
            found[path.stem] = Result.model_validate(read_json(path))
        except ValidationError:
            continue  # run.json
    return found


def replace_records(folder: UPath) -> None:
    """Let the new records of a run replace the old ones, if all of them are there."""
    complete = (folder / f"{COMPLETE}.json").exists()
    for name in REPLACED:
        new = folder / f"{NEW}{name}.json"
        if complete and new.exists():
            write_atomically(folder / f"{name}.json", new.read_bytes())
    (folder / f"{COMPLETE}.json").unlink(missing_ok=True)
    for name in REPLACED:
        (folder / f"{NEW}{name}.json").unlink(missing_ok=True)
