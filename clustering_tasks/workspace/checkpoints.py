"""What a long step has found so far, kept in its run: the next try of the task goes on from there.

A checkpoint is the folder `<run>/<task>.checkpoint`. Its files, the blocks, hold arrays by name,
rows beside each other. A file's name is the key of the artefact in the making and a digest of both
the key and the content. What has another key (other settings, another snapshot, other code) or
another content than its name says is not used: it is computed again.
"""

import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import structlog
from upath import UPath

from clustering_tasks.workspace.storage import write_atomically

SUFFIX = ".checkpoint"
_FILE_SUFFIX = ".npz"

log = structlog.get_logger()

if TYPE_CHECKING:  # a worker, which only removes checkpoints, has no numpy
    import numpy.typing as npt

Rows = Mapping[str, "npt.NDArray[Any]"]


class Checkpoint:
    """The checkpoint of one try of a task.

    Attributes:
        blocks: how many it has, those of earlier tries included.
    """

    def __init__(self, folder: UPath, key: str, seconds: float) -> None:
        """Begin a try.

        Args:
            folder: of the checkpoint; it need not be there.
            key: of the artefact in the making.
            seconds: of work between two blocks, so that what is done sooner is not written.
        """
        self.blocks = 0
        self._folder = folder
        self._key = key
        self._seconds = seconds
        self._pending: list[Rows] = []
        self._saved_at = time.monotonic()

    def read(self) -> Iterator[Rows]:
        """Yield what earlier tries have kept, block by block; remove what cannot be used."""
        import numpy as np

        for path in sorted(self._folder.glob(f"*{_FILE_SUFFIX}"), key=str):
            content = path.read_bytes()
            if path.name != _name(self._key, content):
                log.warning("a block is damaged or of other inputs: not used", block=str(path))
                path.unlink(missing_ok=True)
                continue
            self.blocks += 1
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                yield dict(arrays)

    def add(self, rows: Rows) -> None:
        """Keep some rows; with all since the last block they are written if that is long ago.

        Args:
            rows: arrays of one length, by the same names each time.
        """
        self._pending.append(rows)
        if time.monotonic() - self._saved_at >= self._seconds:
            self.save()

    def save(self) -> None:
        """Write what is not written yet, as one block.

        A signal may come in between and save as well: that is the same file.
        """
        if not self._pending:
            return
        content = _packed(self._pending)
        write_atomically(self._folder / _name(self._key, content), content)
        self._pending = []
        self._saved_at = time.monotonic()
        self.blocks += 1


_open: list[Checkpoint] = []


@contextmanager
def kept(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """Let whatever ends the work in the block, a signal too, save first."""
    _open.append(checkpoint)
    try:
        yield checkpoint
    except BaseException:
        with suppress(OSError):  # a full disk must not hide why the work has ended
            checkpoint.save()
        raise
    finally:
        _open.remove(checkpoint)


def save_checkpoints() -> int:
    """Save before a signal ends this process; returns how many blocks the next try will find."""
    for checkpoint in _open:
        checkpoint.save()
    return sum(checkpoint.blocks for checkpoint in _open)


def checkpoint_folder(run: UPath, task: str) -> UPath:
    """Name the checkpoint of a task.

    Args:
        run: folder of the run.
        task: name of its result.
    """
    return run / f"{task}{SUFFIX}"


def remove_checkpoint(folder: UPath) -> None:
    """Remove a checkpoint; nothing happens where there is none, or where another removes it."""
    with suppress(FileNotFoundError):
        folder.fs.rm(folder.path, recursive=True)


def _packed(pending: list[Rows]) -> bytes:
    import numpy as np

    arrays = {name: np.concatenate([rows[name] for rows in pending]) for name in pending[0]}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def _name(key: str, content: bytes) -> str:
    digest = hashlib.sha256(key.encode() + b"\0" + content).hexdigest()[:32]
    return f"{key}-{digest}{_FILE_SUFFIX}"
