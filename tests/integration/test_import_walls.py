"""Each side of the package imports without the other's libraries; so says pyproject.toml, too."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.floor_plan import LIMITS, floor_plan

REPO = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
ENGINE = {"faiss", "hdbscan", "numba", "numpy", "pandas", "pyarrow", "scipy", "sklearn"}
NO_NETWORK = ("dns error", "Failed to fetch", "error sending request", "Network is unreachable")

IMPORT_AIRFLOW_SIDE = """
import importlib, pkgutil, sys
import stage4
from airflow.dag_processing.dagbag import DagBag

for module in pkgutil.walk_packages(stage4.__path__, "stage4."):
    if ".migrations." not in module.name:  # alembic runs those
        importlib.import_module(module.name)
errors = DagBag(sys.argv[1]).import_errors
sys.exit(str(errors) if errors else 0)
"""
IMPORT_ENGINE_SIDE = """
import importlib, pkgutil
import clustering_tasks

for module in pkgutil.walk_packages(clustering_tasks.__path__, "clustering_tasks."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def bare_environment(folder: Path, lock: str) -> Path:
    """Make an environment with a lock's packages and nothing else; returns its python."""
    return new_environment(folder, "-r", str(REPO / lock))


def new_environment(folder: Path, *packages: str) -> Path:
    if not UV.exists():
        pytest.skip(f"{UV} is missing: requirements-dev.txt brings it")
    python = folder / "bin" / "python"
    uv(folder, "venv", "--quiet", "--python", sys.executable, str(folder))
    uv(folder, "pip", "install", "--quiet", "--python", str(python), *packages)
    return python


def uv(folder: Path, *arguments: str) -> None:
    done = run([str(UV), *arguments], folder.parent, UV_PYTHON_DOWNLOADS="never")
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip(f"packages are neither in uv's cache nor on the network: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr


def run(command: list[str], folder: Path, **own: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "COVERAGE", "COV_"))
    }
    return subprocess.run(
        command, cwd=folder, env=inherited | own, capture_output=True, text=True, check=False
    )


def test_dags_and_plugins_need_no_engine(tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv", "requirements.txt")
    own = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{REPO}{os.pathsep}{REPO / 'plugins'}",
    }
    assert not ENGINE & installed(python, tmp_path)
    done = run([str(python), "-c", IMPORT_AIRFLOW_SIDE, str(REPO / "dags")], tmp_path, **own)
    assert done.returncode == 0, done.stderr


def test_the_steps_need_no_airflow(tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv", "images/clustering/requirements-cpu.txt")
    assert "airflow" not in installed(python, tmp_path)
    done = run([str(python), "-c", IMPORT_ENGINE_SIDE], tmp_path, PYTHONPATH=str(REPO))
    assert done.returncode == 0, done.stderr


def test_the_terminal_needs_its_own_packages_alone(tmp_path: Path) -> None:
    """As README installs it on a machine without Airflow: `pip install '.[terminal]'`."""
    checkout = tmp_path / "checkout"
    for folder in ("clustering_tasks", "plugins"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPO / folder, checkout / folder, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / file, checkout)
    python = new_environment(tmp_path / "venv", f"{checkout}[terminal]")
    assert not (ENGINE | {"airflow"}) & installed(python, tmp_path)
    arguments = ["--set", "scope=partition", "--set", "hdbscan.min_samples=3"]
    command = [str(python.with_name("stage4")), "submit", "events", *arguments]
    own = {"STAGE4_URL": "http://127.0.0.1:9", "STAGE4_TOKEN": "token"}
    done = run(command, tmp_path, **own)
    assert "scope=partition is called scope=domain now" in done.stderr
    assert "http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("step", "needed"),
    [
        ("snapshot", {"numba", "numpy", "pyarrow", "scipy"}),
        ("plan", {"numba", "numpy", "pandas", "pyarrow", "scipy"}),
        ("cluster", {"numba", "numpy", "pyarrow", "scipy"}),
        ("merge", {"numba", "numpy", "pandas", "pyarrow", "scipy"}),
        ("tag", {"numpy", "pyarrow"}),
        ("trend", {"numpy", "pyarrow", "scipy", "scipy.special"}),
        ("identify", {"numpy", "pyarrow"}),
        ("label", {"numpy", "pyarrow"}),
        ("map", {"numba", "numpy", "pyarrow", "scipy", "scipy.special"}),
    ],
)
def test_a_step_starts_without_libraries_that_it_does_not_need(
    tmp_path: Path, step: str, needed: set[str]
) -> None:
    """Its process is to reach its first work within two seconds."""
    code = (
        f"import importlib, sys; import clustering_tasks.cli\n"
        f"importlib.import_module('clustering_tasks.steps.{step}.{step}')\n"
        f"print(*({ENGINE | {'scipy.special'}!r} & sys.modules.keys()))"
    )
    done = run([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(REPO))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= needed


def installed(python: Path, folder: Path) -> set[str]:
    """Which of the two sides' libraries an environment has."""
    names = sorted(ENGINE | {"airflow"})
    code = f"from importlib.util import find_spec as f; print(*[n for n in {names} if f(n)])"
    return set(run([str(python), "-c", code], folder).stdout.split())


def imports(file: Path, *, anywhere: bool) -> Iterator[str]:
    """Top-level packages that a file imports: anywhere, or only when it is imported itself."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if anywhere else at_module_level(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_module_level(child)


@pytest.mark.parametrize(
    ("folder", "foreign", "anywhere"),
    [
        ("clustering_tasks", {"airflow", "stage4", "local"}, True),
        ("plugins", ENGINE | {"local"}, False),
        ("dags", ENGINE | {"local"}, False),
    ],
)
def test_no_file_imports_from_across_the_wall(
    folder: str, foreign: set[str], anywhere: bool
) -> None:
    files = sorted((REPO / folder).rglob("*.py"))
    assert files
    found = {
        str(file.relative_to(REPO)): across
        for file in files
        if (across := foreign & set(imports(file, anywhere=anywhere)))
    }
    assert found == {}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both packages and of their import contracts."""
    copy = tmp_path_factory.mktemp("packages")
    for package in ("clustering_tasks", "plugins/stage4"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPO / package, copy / package, ignore=ignored)
    shutil.copy(REPO / "pyproject.toml", copy)
    return copy


def broken_contracts(packages: Path) -> list[str]:
    command = [str(UV.with_name("lint-imports")), "--no-cache", "--no-logo"]
    path = f"{packages}{os.pathsep}{packages / 'plugins'}"
    done = run(command, packages, PYTHONPATH=path)
    found = re.findall(r"^(.+) BROKEN\b", done.stdout, flags=re.MULTILINE)
    assert (done.returncode == 0) == (not found), done.stdout + done.stderr
    return [str(name) for name in found]


def test_every_import_leads_downwards(packages: Path) -> None:
    assert broken_contracts(packages) == []


@pytest.mark.parametrize(
    ("path", "code", "contract"),
    [
        (
            "clustering_tasks/steps/plan/plan.py",
            "from clustering_tasks.steps.merge import assignments as _assignments",
            "No step imports another",
        ),
        (
            "clustering_tasks/engine/rows.py",
            "from clustering_tasks.settings import types as _types",
            "The engine imports no settings",
        ),
        (
            "clustering_tasks/workspace/columns.py",
            "from clustering_tasks.graph import nodes as _nodes",
            "The engine's rooms",
        ),
        ("clustering_tasks/attic.py", "", "The engine's rooms"),
        (
            "plugins/stage4/tasks/level.py",
            "def late():\n    from stage4.api import cache",
            "Tasks, deletions and the database import nothing of the API",
        ),
        (
            "plugins/stage4/database/load.py",
            "from stage4.runners import base as _base",
            "Airflow's rooms",
        ),
        (
            "clustering_tasks/engine/arrays.py",
            "from clustering_tasks.engine import late",
            "No circle between files or folders",
        ),
    ],
)
def test_the_import_contracts_bite(packages: Path, path: str, code: str, contract: str) -> None:
    file = packages / path
    late = packages / "clustering_tasks" / "engine" / "late.py"
    before = file.read_text("utf-8") if file.exists() else None
    try:
        file.write_text(f"{before or ''}\n{code}\n")
        if "late" in code:
            late.write_text("from clustering_tasks.engine import arrays\n")
        assert any(found.startswith(contract) for found in broken_contracts(packages))
    finally:
        late.unlink(missing_ok=True)
        if before is None:
            file.unlink()
        else:
            file.write_text(before)


def test_the_floor_plan_keeps_its_limits() -> None:
    for package, limit in LIMITS.items():
        plan = floor_plan(package)
        assert plan.circles == []
        assert len(plan.modules) <= limit


@pytest.mark.parametrize(
    ("path", "code", "refused"),
    [
        ("plugins/stage4/new.py", "import numpy\n", True),
        ("dags/new.py", "from sklearn import cluster\n", True),
        ("plugins/stage4/new.py", "def f():\n    import numpy\n", False),
        ("clustering_tasks/new.py", "import numpy\n", False),
        ("clustering_tasks/new.py", "import pickle\n", True),
        ("plugins/stage4/new.py", "from airflow.models import DagRun\n", True),
    ],
)
def test_the_lint_rules_bite(path: str, code: str, refused: bool) -> None:
    command = [str(UV.with_name("ruff")), "check", "--select", "TID", "--stdin-filename", path, "-"]
    done = subprocess.run(
        command, cwd=REPO, input=code, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 1) == refused, done.stdout + done.stderr
