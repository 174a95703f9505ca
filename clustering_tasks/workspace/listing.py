"""What lies below a folder, with sizes and ages, asked once: on a disk or in an object store.

Others write and remove meanwhile, so a listing is a little old: who removes by it spares what is
young.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import orjson
from upath import UPath

from clustering_tasks.workspace.damage import refusing_damage
from clustering_tasks.workspace.storage import is_local

_OF_THE_DISK = "lost+found"  # at a volume's root; nobody but root may look into it
_NO_NAMES = ("", ".", "..")  # a store's objects may have them between slashes; a path drops them
_REMEDY = (
    "what it names is not known, so nothing more is removed. Restore it, or remove the folder of "
    "its run or artefact"
)


@dataclass
class Entry:
    """A file or a folder.

    Attributes:
        path: below the listing's root, `/` between its parts.
        is_folder: of a disk, or spelled by the names of a store's objects.
        used: seconds since 1970, by the clock of whoever keeps it; of a folder, that of its newest
            file, and its own while it is empty.
        size: bytes; of a folder, those of all its files.
        children: by name.
    """

    path: str
    is_folder: bool
    used: float = 0.0
    size: int = 0
    children: dict[str, "Entry"] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The path's last part."""
        return self.path.rpartition("/")[2]


class Listing:
    """The tree below a folder.

    Attributes:
        tree: the folder.
    """

    def __init__(self, root: UPath) -> None:
        """List it; a folder that does not exist is empty."""
        self.tree = Entry("", is_folder=True)
        self._root = root
        self._objects: dict[str, dict[str, Any]] = {}
        if is_local(root):
            self._scan(root.path, self.tree, ())
        else:
            self._find()

    def find(self, path: str) -> Entry | None:
        """Return what is at a path, None for nothing."""
        found: Entry | None = self.tree
        for part in path.split("/"):
            found = found and found.children.get(part)
        return found

    def glob(self, pattern: str) -> list[Entry]:
        """Return what matches a pattern, in the order of paths; a part's `*` takes a dot, too."""
        found = [self.tree]
        for part in pattern.split("/"):
            children = [child for each in found for child in each.children.values()]
            found = [each for each in children if fnmatchcase(each.name, part)]
        return sorted(found, key=lambda each: each.path)

    def folders(self, pattern: str) -> list[Entry]:
        """Return the folders that match a pattern, in the order of paths."""
        return [each for each in self.glob(pattern) if each.is_folder]

    def read_object(self, path: str) -> dict[str, Any]:
        """Read a JSON object, once; empty for none, or where another process removes it.

        Raises:
            BadInputError: it is damaged.
        """
        found = self.find(path)
        if found is None or found.is_folder:
            return {}
        if path not in self._objects:
            self._objects[path] = self._read(path)
        return self._objects[path]

    def remove(self, entry: Entry) -> None:
        """Remove a file, or a folder with all that is in it; another may have done it."""
        target = self._at(entry.path)
        with suppress(FileNotFoundError):
            target.fs.rm(target.path, recursive=entry.is_folder)
        *above, name = self._way(entry.path)
        for folder in above:
            folder.size -= entry.size
        above[-1].children.pop(name.name, None)

    def _read(self, path: str) -> dict[str, Any]:
        file = self._at(path)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return {}
        with refusing_damage(file, _REMEDY):
            found = orjson.loads(content)
        return found if isinstance(found, dict) else {}

    def _at(self, path: str) -> UPath:
        return self._root.joinpath(*path.split("/"))

    def _scan(self, folder: str, entry: Entry, above: tuple[tuple[int, int], ...]) -> None:
        """List a folder of this machine; what vanishes under the reader's eyes is left out.

        A link is followed, as a level may have a disk of its own, but not into what it lies in.
        """
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            own = Path(folder).stat()
            way = (*above, (own.st_dev, own.st_ino))
            for each in found:
                with suppress(FileNotFoundError):
                    stat = each.stat()
                    if each.name == _OF_THE_DISK or (stat.st_dev, stat.st_ino) in way:
                        continue
                    child = Entry(f"{entry.path}/{each.name}".lstrip("/"), each.is_dir())
                    child.used, child.size = stat.st_mtime, 0 if child.is_folder else stat.st_size
                    if child.is_folder:
                        self._scan(each.path, child, way)
                    entry.children[each.name] = child
        if entry.children:
            entry.used = max(child.used for child in entry.children.values())
            entry.size = sum(child.size for child in entry.children.values())

    def _find(self) -> None:
        """List an object store."""
        fs, root = self._root.fs, self._root.path.strip("/")
        fs.invalidate_cache()
        for path, info in fs.find(self._root.path, detail=True).items():
            with suppress(FileNotFoundError):
                below = path.strip("/").removeprefix(root).removeprefix("/")
                odd = any(part in _NO_NAMES for part in below.split("/"))
                if odd or info["type"] != "file":  # some tools put an empty object for a folder
                    continue
                used = fs.modified(path).timestamp()
                for each in self._way(below, new=True):
                    each.used, each.size = max(each.used, used), each.size + info["size"]

    def _way(self, path: str, *, new: bool = False) -> list[Entry]:
        """The entries from the root down to a path; those that are missing are made if asked."""
        way = [self.tree]
        parts = path.split("/")
        for depth, part in enumerate(parts, 1):
            if new:
                entry = Entry("/".join(parts[:depth]), is_folder=depth < len(parts))
                way[-1].children.setdefault(part, entry)
            way.append(way[-1].children[part])
        return way
