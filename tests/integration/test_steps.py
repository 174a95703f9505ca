"""The lists that the package is made of agree with its modules, its DAGs and its pages."""

import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import get_args

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from clustering_tasks import algorithms, steps
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.deployment import DeploymentSettings, deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.settings.runners import RUNNERS
from clustering_tasks.steps import REDACT, STEPS, Step
from stage4 import runners
from stage4.api import routes
from stage4.runners.base import StepOperator
from stage4.tasks import SINKS, Sink
from tests.readme import REPO

TASKS = [
    "check_stage3",
    *(step.name for step in STEPS),
    "load_postgres",
    "publish",
    *(sink.name for sink in SINKS),
    "all_parts",
]


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    deployment.cache_clear()
    return dict(DagBag(str(REPO / "dags")).dags)


def modules(package: ModuleType) -> set[str]:
    """The modules and packages in a package."""
    return {found.name for found in pkgutil.iter_modules(package.__path__)}


def rows(page: str) -> Iterator[str]:
    """The first cells of the rows that begin with a name."""
    return (found[1] for found in re.finditer(r"^\| `(\w+)` \|", page, re.MULTILINE))


@pytest.mark.parametrize("level", LEVELS)
def test_a_levels_dag_has_these_tasks_and_its_page_lists_them(
    dags: dict[str, DAG], level: str
) -> None:
    dag = dags[f"cluster_{level}"]
    assert [task.task_id for task in dag.tasks] == TASKS
    assert list(rows(dag.doc_md or "")) == TASKS
    assert "{" not in (dag.doc_md or "").partition("**Start it**")[0]


def test_the_table_of_the_steps_in_the_architecture_lists_them() -> None:
    page = (REPO / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition("\n## The steps\n")[2].partition("\n## ")[0]
    assert list(rows(table)) == TASKS


@pytest.mark.parametrize("step", [*STEPS, REDACT], ids=lambda step: step.name)
def test_a_step_is_a_function(step: Step) -> None:
    assert step.load().__name__ == step.name
    if step.erased_by == "redo":
        # the run, the results that the step reads, the attempt
        assert len(inspect.signature(step.load("write")).parameters) == len(step.reads) + 2


def test_every_package_of_a_step_is_in_the_list() -> None:
    assert modules(steps) == {step.name for step in (*STEPS, REDACT)}


def test_a_step_reads_earlier_steps_alone() -> None:
    for place, step in enumerate(STEPS):
        assert set(step.reads) <= {earlier.name for earlier in STEPS[:place]}


def test_what_a_deletion_writes_again_reads_nothing_that_it_drops() -> None:
    """`redact` has no results of such steps to hand on: it would fail amid a deletion."""
    dropped = {step.name for step in STEPS if step.erased_by == "drop"}
    for step in STEPS:
        if step.erased_by == "redo":
            assert dropped.isdisjoint(step.reads)


def test_an_algorithm_is_a_function_and_a_group_of_settings() -> None:
    with_function = {
        name
        for name in modules(algorithms)
        if inspect.isfunction(getattr(import_module(f"{algorithms.__name__}.{name}"), name, None))
    }
    with_group = {
        name
        for name, field in RunSettings.model_fields.items()
        if f"only with `algorithm={name}`" in (inspect.getdoc(field.annotation) or "")
    }
    assert with_function == with_group == set(ALGORITHMS)
    for algorithm in ALGORITHMS.values():
        assert algorithm.load().__name__ == algorithm.name


def test_a_runner_is_an_operator() -> None:
    for runner in RUNNERS.values():
        module = import_module(f"{runners.__name__}.{runner.name}")
        assert issubclass(getattr(module, runner.operator), StepOperator)
    assert get_args(DeploymentSettings.model_fields["runner"].annotation) == tuple(RUNNERS)


def test_every_module_of_routes_is_in_the_list() -> None:
    assert set(routes.ROUTES) == modules(routes)
    assert len(list(routes.routers())) == len(routes.ROUTES)


@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.name)
def test_a_sink_takes_what_is_published(sink: Sink) -> None:
    assert "published" in inspect.signature(sink.load()).parameters
