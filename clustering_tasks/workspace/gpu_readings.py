"""What the last task on each GPU saw of its memory: files of the workspace.

The API server may be on another machine than the GPU, or in a container without it; what it shows
is what the task has written here.
"""

from pydantic import AwareDatetime, BaseModel, ConfigDict
from upath import UPath

from clustering_tasks.workspace.storage import read_json, to_json, write_atomically

_FOLDER = "gpus"


class GpuReading(BaseModel):
    """A GPU, and the memory in use on it, by all processes, around one task.

    Attributes:
        uuid: the driver's name for it.
        name: of the model.
        memory_total_bytes: memory of the card.
        memory_before_bytes: in use when the task began.
        memory_peak_bytes: the most of the readings, the index still there, after each batch.
        memory_after_bytes: in use when the index had been released; None: it is not yet.
        utilisation_percent: at the last reading, None: unknown.
        job_id: run of the task.
        measured_at: time of the last reading.
    """

    model_config = ConfigDict(frozen=True)

    uuid: str
    name: str
    memory_total_bytes: int
    memory_before_bytes: int
    memory_peak_bytes: int
    memory_after_bytes: int | None = None
    utilisation_percent: float | None = None
    job_id: str
    measured_at: AwareDatetime


def write_reading(workspace: UPath, reading: GpuReading) -> None:
    """Write what a task saw of a card, in place of what the task before it saw."""
    record = to_json(reading.model_dump(mode="json"))
    write_atomically(workspace / _FOLDER / f"{reading.uuid}.json", record)


def read_readings(workspace: UPath) -> list[GpuReading]:
    """Read what is known of the cards of all workers, by their uuids."""
    folder = workspace / _FOLDER
    if not folder.exists():
        return []
    files = sorted(folder.glob("*.json"), key=str)
    return [GpuReading.model_validate(read_json(path)) for path in files]
