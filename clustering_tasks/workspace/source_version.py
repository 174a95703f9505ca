"""The code version of a step: a digest of the sources that it can reach."""

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


@cache
def source_version(step: str) -> str:
    """Digest the step's module and every module of this package that it imports, at any depth.

    A version kept by hand would be forgotten; one of the whole package would throw a snapshot away
    for a change of a label.
    """
    pending = {f"{_PACKAGE.name}.{step}"}
    sources: dict[str, bytes] = {}
    while pending:
        module = pending.pop()
        if module not in sources and (found := _read(module)) is not None:
            sources[module], imports = found
            pending |= imports
            pending |= {module.rpartition(".")[0]} - {""}  # importing it runs its package, too
    digest = hashlib.sha256()
    for module in sorted(sources):
        digest.update(module.encode() + b"\0" + sources[module] + b"\0")
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
