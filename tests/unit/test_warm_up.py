"""What a set-up compiles, so that no run has to."""

from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from numba.core.registry import CPUDispatcher

import clustering_tasks
from clustering_tasks.warm_up import warm_up


def kernels() -> set[Any]:
    """Every kernel of the package."""
    names = [each.name for each in walk_packages(clustering_tasks.__path__, "clustering_tasks.")]
    modules = [import_module(name) for name in names if not name.endswith("__main__")]
    found = (value for module in modules for value in vars(module).values())
    return {value for value in found if isinstance(value, CPUDispatcher)}


def called_by(kernel: Any) -> set[Any]:
    """The kernels that are part of this one, and compiled with it."""
    names = kernel.py_func.__code__.co_names
    used = (kernel.py_func.__globals__.get(name) for name in names)
    return {each for each in used if isinstance(each, CPUDispatcher)}


def test_every_kernel_is_compiled_before_a_task_needs_it() -> None:
    warm_up()
    every = kernels()
    compiled = {each for each in every if each.signatures}
    parts = set().union(*map(called_by, every))
    missing = {f"{each.__module__}.{each.__name__}" for each in every - compiled - parts}
    assert missing == set()
