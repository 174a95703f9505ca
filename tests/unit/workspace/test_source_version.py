import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.steps import STEPS as PIPELINE
from clustering_tasks.workspace import source_version as module
from clustering_tasks.workspace.source_version import source_version, step_version

STEPS = tuple(step.name for step in PIPELINE)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that a test may change."""
    copy = tmp_path / "clustering_tasks"
    shutil.copytree(module._PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "_PACKAGE", copy)
    forget()
    yield copy
    forget()


def forget() -> None:
    source_version.cache_clear()
    module._read.cache_clear()


def versions() -> dict[str, str]:
    forget()
    return {step: step_version(step) for step in STEPS}


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ("steps/snapshot/snapshot.py", {"snapshot"}),
        ("stage3/dates.py", {"snapshot"}),  # reached through stage3/items
        ("stage3/words.py", {"tag", "label"}),
        # `plan` compares mentions and kinds, `merge` mentions, `tag` the phrases of a list
        ("stage3/text.py", {"snapshot", "plan", "merge", "tag", "label"}),
        ("stage3/__init__.py", {"snapshot", "plan", "merge", "tag", "label"}),
        ("engine/modularity.py", {"merge"}),
        ("algorithms/hdbscan.py", set()),  # `merge` adds the version of the algorithm that it loads
        ("engine/tsne.py", {"map"}),
        ("steps/label/titles.py", {"label"}),  # reached through steps/label/records
        ("workspace/storage.py", set(STEPS)),
        ("settings/levels.py", set(STEPS)),
        ("__init__.py", set(STEPS)),
        ("cli.py", set()),
        ("publication/files.py", set()),
        # Pure data, whose values are in the keys by themselves.
        ("settings/run.py", set()),
        ("settings/groups/clustering.py", set()),
        ("settings/types.py", set()),
        ("steps/__init__.py", set()),
        ("contract/record.py", set()),
    ],
)
def test_a_step_has_a_new_version_when_a_module_that_it_reaches_changes(
    sources: Path, changed: str, steps: set[str]
) -> None:
    before = versions()
    path = sources / changed
    path.write_text(path.read_text() + "\n_CHANGED = True\n")
    after = versions()
    assert {step for step in STEPS if before[step] != after[step]} == steps


def test_an_algorithm_has_a_version_of_its_own(sources: Path) -> None:
    before = {name: source_version(f"algorithms.{name}") for name in ALGORITHMS}
    path = sources / "engine" / "label_propagation.py"
    path.write_text(path.read_text() + "\n_CHANGED = True\n")
    forget()
    after = {name: source_version(f"algorithms.{name}") for name in ALGORITHMS}
    changed = {name for name in ALGORITHMS if before[name] != after[name]}
    assert changed == {"label_propagation"}


def test_a_new_import_is_followed(sources: Path) -> None:
    before = versions()
    (sources / "extra.py").write_text("X = 1\n")
    assert versions() == before
    dates = sources / "stage3" / "dates.py"
    dates.write_text("import clustering_tasks.extra\n" + dates.read_text())
    imported = versions()
    assert imported["snapshot"] != before["snapshot"]
    (sources / "extra.py").write_text("X = 2\n")
    assert versions()["snapshot"] != imported["snapshot"]


def test_an_import_inside_a_function_counts(sources: Path) -> None:
    (sources / "extra.py").write_text("X = 1\n")
    label = sources / "steps" / "label" / "label.py"
    label.write_text(label.read_text() + "\ndef f():\n    from clustering_tasks import extra\n")
    before = versions()
    (sources / "extra.py").write_text("X = 2\n")
    after = versions()
    assert {step for step in STEPS if before[step] != after[step]} == {"label"}


def parsed_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == module._PACKAGE.name}


def test_imports_are_those_that_the_parser_finds() -> None:
    paths = sorted(module._PACKAGE.rglob("*.py"))
    found = {path: module._imports(path.read_bytes()) for path in paths}
    assert found == {path: parsed_imports(path) for path in paths}
    assert sum(map(len, found.values())) > len(paths)


@pytest.mark.parametrize(
    ("source", "imports"),
    [
        ("import clustering_tasks.a as b", {"clustering_tasks.a"}),
        (
            "from clustering_tasks.a import (\n    b as c,  # (why, not)\n    d,\n)",
            {"clustering_tasks.a", "clustering_tasks.a.b", "clustering_tasks.a.d"},
        ),
        (
            "def f():\n    from clustering_tasks import a",
            {"clustering_tasks", "clustering_tasks.a"},
        ),
        ("import numpy\nfrom clustering_tasks_of_others import a", set()),
        ("import clustering_tasks_of_others", set()),
    ],
)
def test_imports_are_found_in_any_form(source: str, imports: set[str]) -> None:
    assert module._imports(source.encode()) == imports


def test_the_same_sources_elsewhere_have_the_same_version(sources: Path) -> None:
    elsewhere = versions()
    module._PACKAGE = Path(module.__file__).parents[1]
    assert versions() == elsewhere
