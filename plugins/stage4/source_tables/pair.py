"""Writing a level's pair of files in Stage 3's form, row by row, without the engine's libraries.

`snapshot` reads them as it reads Stage 3's own: checked, copied, sorted by one code.
"""

import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

import orjson
from upath import UPath

from clustering_tasks.settings.levels import Level

# See clustering_tasks/stage3/index.py: kind, dimension, vectors, two unused, is trained, metric.
_FLAT_HEADER = struct.Struct("<4siqqq?iQ")
_INNER_PRODUCT = 0
_UNUSED = 1 << 20


class PairWriter:
    """An open pair; its entries come in any order, each once."""

    def __init__(
        self,
        level: Level,
        index: IO[bytes],
        entries: IO[bytes],
        ids: IO[bytes],
        rows: IO[bytes],
    ) -> None:
        self._level = level
        self._index = index
        self._entries = entries
        self._ids = ids
        self._rows = rows
        self._count = 0

    def add(self, source_id: str, vector: bytes, metadata: bytes) -> None:
        """Append a row.

        Args:
            source_id: unique.
            vector: float32, little-endian, of the pair's dimension.
            metadata: an object of JSON.
        """
        comma = b"," if self._count else b""
        vector_id = orjson.dumps(f"{self._level.vector_prefix}{source_id}")
        row = b"%d" % self._count
        self._index.write(vector)
        self._entries.write(
            b'%b%b:{"source_id":%b,"metadata":%b}'
            % (comma, vector_id, orjson.dumps(source_id), metadata)
        )
        self._ids.write(b"%b%b:%b" % (comma, vector_id, row))
        self._rows.write(b'%b"%b":%b' % (comma, row, vector_id))
        self._count += 1

    def finish(self) -> None:
        """Write what follows the entries: the two maps of ids."""
        for name, part in ((b"id_map", self._ids), (b"reverse_id_map", self._rows)):
            self._entries.write(b'},"%b":{' % name)
            part.seek(0)
            shutil.copyfileobj(part, self._entries)
        self._entries.write(b"}}")


@contextmanager
def new_pair(folder: UPath, level: Level, shape: tuple[int, int]) -> Iterator[PairWriter]:
    """Open a level's pair of files for writing.

    Args:
        folder: of the pair.
        level: names the files.
        shape: (n, d), number of rows and dimension: exactly n rows have to be added.
    """
    count, dimension = shape
    with ExitStack() as stack:
        index = stack.enter_context((folder / level.pair[0]).open("wb"))
        entries = stack.enter_context((folder / level.pair[1]).open("wb"))
        index.write(
            _FLAT_HEADER.pack(
                *(b"IxFI", dimension, count, _UNUSED, _UNUSED, True, _INNER_PRODUCT),
                count * dimension,
            )
        )
        entries.write(b'{"metadata_store":{')
        maps = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
        pair = PairWriter(level, index, entries, *maps)
        yield pair
        pair.finish()
