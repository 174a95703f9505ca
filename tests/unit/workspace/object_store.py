"""A file system as object stores are: no folder without a file, files read in blocks."""

from typing import Any

import fsspec  # type: ignore[import-untyped]
import upath.registry
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]
from upath import UPath

PROTOCOL = "teststore"


class _File(AbstractBufferedFile):  # type: ignore[misc]
    """Asks for the block that is read."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        found: bytes = self.fs.store[self.path].getvalue()[start:end]
        return found


class ObjectStore(MemoryFileSystem):  # type: ignore[misc]
    """Keeps its objects in this process."""

    protocol = PROTOCOL
    store: dict[str, Any] = {}  # noqa: RUF012 - as its parent's
    pseudo_dirs: list[str] = []  # noqa: RUF012 - as its parent's

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode == "rb":
            return _File(self, path, size=self.info(path)["size"])
        return super()._open(path, mode, **kwargs)

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Do nothing: there are no folders."""

    def makedirs(self, *_: Any, **__: Any) -> None:
        """Do nothing: there are no folders."""


fsspec.register_implementation(PROTOCOL, ObjectStore, clobber=True)
upath.registry.register_implementation(PROTOCOL, UPath, clobber=True)


def store(path: str) -> UPath:
    """Return a place in it."""
    return UPath(f"{PROTOCOL}://{path}")
