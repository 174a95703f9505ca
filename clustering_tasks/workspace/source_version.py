"""The code version of a step, and of a module: a digest of the sources that it can reach."""

import hashlib
import re
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# Pure data: what a step reads of them is in its key by value. With them, a reworded description of
# a setting would be a new version of every step.
_DATA = frozenset(
    f"{_PACKAGE.name}.{module}"
    for module in (
        "settings.run",
        "settings.types",
        "settings.deployment",
        "steps",
        "contract.record",
    )
)
_GROUPS = f"{_PACKAGE.name}.settings.groups"  # likewise, with all its modules
# Parsing the sources took half a second of every start of a step; a test compares with the parser.
# A sentence of a docstring that looks like an import makes a version of one module too many.
_NAME = rf"({_PACKAGE.name}\b(?:\.\w+)*)"
_IMPORT = re.compile(
    rf"^[ \t]*(?:from[ \t]+{_NAME}[ \t]+import[ \t]+(\([^)]*\)|[^\n(]+)|import[ \t]+{_NAME})", re.M
)
_COMMENT = re.compile(r"#[^\n]*")


def step_version(step: str) -> str:
    """Return the version of a step's own module and all that it reaches."""
    return source_version(f"steps.{step}.{step}")


@cache
def source_version(module: str) -> str:
    """Digest a module and every module of this package that it imports, at any depth.

    A version kept by hand would be forgotten; one of the whole package would throw a snapshot away
    for a change of a label.

    Args:
        module: its name below this package.
    """
    pending = {f"{_PACKAGE.name}.{module}"}
    sources: dict[str, bytes] = {}
    while pending:
        name = pending.pop()
        if name in sources or name in _DATA or name.startswith(_GROUPS):
            continue
        if (found := _read(name)) is not None:
            sources[name], imports = found
            pending |= imports
            pending |= {name.rpartition(".")[0]} - {""}  # importing it runs its package, too
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    return digest.hexdigest()[:16]


@cache
def _read(module: str) -> tuple[bytes, frozenset[str]] | None:
    path = _file(module)
    if path is None:
        return None
    source = path.read_bytes()
    return source, frozenset(_imports(source))


def _file(module: str) -> Path | None:
    path = _PACKAGE.parent.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(source: bytes) -> set[str]:
    """Name the modules of this package that a source imports, and what it takes of them."""
    found: set[str] = set()
    for taken_from, names, whole in _IMPORT.findall(_COMMENT.sub("", source.decode())):
        module = taken_from or whole
        found.add(module)
        for each in names.strip("()").split(","):
            if name := each.partition(" as ")[0].strip():
                found.add(f"{module}.{name}")
    return found
