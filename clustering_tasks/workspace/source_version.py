"""The code version of a step, and of a module: a digest of the sources that it can reach."""

import ast
import hashlib
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
        if name not in sources and name not in _DATA and (found := _read(name)) is not None:
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
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == _PACKAGE.name}
