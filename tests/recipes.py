"""The recipes of CONTRIBUTING.md: what a reader writes, followed in a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.readme import REPO

PAGE = REPO / "CONTRIBUTING.md"
_COPIED = ("clustering_tasks", "dags", "docs", "local", "plugins", "tests", "tools")
_EDIT = re.compile(r"^`([^`\n]+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_INHERITED = ("AIRFLOW", "STAGE4", "PYTHON", "COVERAGE", "COV_")


@dataclass(frozen=True)
class Edit:
    """A block of a recipe.

    Attributes:
        file: its path in the repository.
        language: of the block; `diff`: an edit of the file, else the whole of a new one.
        text: of the block.
    """

    file: str
    language: str
    text: str

    def apply(self, root: Path) -> None:
        path = root / self.file
        if self.language == "diff":
            path.write_text(patched(path.read_text("utf-8"), self.text), "utf-8")
            return
        assert not path.exists(), f"{self.file} exists already"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.text, "utf-8")


def patched(text: str, diff: str) -> str:
    """Apply a diff without line numbers, whose place must be the only one of its kind."""
    lines = [line if line.strip() else f" {line}" for line in diff.splitlines(keepends=True)]
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"these lines are there {text.count(before)} times:\n{before}"
    return text.replace(before, after)


def titles() -> list[str]:
    """The recipes, by their headings."""
    return re.findall(r"^## (Add .+)$", PAGE.read_text("utf-8"), re.MULTILINE)


def recipe(title: str) -> str:
    """The text of a recipe."""
    _, found, rest = PAGE.read_text("utf-8").partition(f"\n## {title}\n")
    assert found, f"CONTRIBUTING.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def edits(title: str) -> list[Edit]:
    """The blocks of a recipe that change files, in their order."""
    return [Edit(*found) for found in _EDIT.findall(recipe(title))]


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, in which recipes are followed."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "Copy":
        """Copy the repository, the machine code of its kernels included."""
        for name in _COPIED:
            shutil.copytree(REPO / name, root / name)
        shutil.copy(REPO / "pyproject.toml", root)
        return cls(root)

    def follow(self, title: str) -> None:
        for edit in edits(title):
            edit.apply(self.root)

    def sh(self, title: str, tmp_path: Path) -> list[str]:
        """Run the commands of a recipe; returns the lines of their standard output."""
        [script] = _SCRIPT.findall(recipe(title))
        # in this order: the checkout may lie below /tmp itself
        script = script.replace("/tmp/", f"{tmp_path}/")  # noqa: S108
        script = script.replace(".venv/bin/python", sys.executable)
        return self._run(["bash", "-euo", "pipefail", "-c", script], {}).splitlines()

    def python(self, *arguments: str, **own: str) -> str:
        """Run a Python of the copy's; returns its standard output."""
        return self._run([sys.executable, *arguments], own)

    def json(self, code: str, *arguments: str, **own: str) -> Any:
        """Run Python code; returns the JSON of its last line."""
        return json.loads(self.python("-c", code, *arguments, **own).splitlines()[-1])

    def _run(self, command: list[str], own: dict[str, str]) -> str:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(_NOT_INHERITED)}
        path = {"PYTHONPATH": f"{self.root}{os.pathsep}{self.root / 'plugins'}"}
        done = subprocess.run(
            command,
            env=inherited | path | own,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
        return done.stdout
