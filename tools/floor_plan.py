"""The floor plan in figures: rooms, arrows between them, circles; fails above the limits.

    PYTHONPATH=.:plugins python -m tools.floor_plan

A room is a module or a package at the top of a package. An arrow is a pair of rooms of which one
imports the other, wherever in its files. A circle is a group of modules that reach each other by
imports. Which arrows are allowed stands in pyproject.toml (`lint-imports`).
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grimp
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

# Modules at the top of each package, packages not counted.
LIMITS = {"clustering_tasks": 8, "stage4": 9}


@dataclass(frozen=True)
class FloorPlan:
    """The figures of one package.

    Attributes:
        package: its name.
        modules: modules at its top.
        rooms: modules and packages at its top.
        arrows: pairs of rooms of which the first imports the second.
        circles: groups of modules that reach each other.
    """

    package: str
    modules: list[str]
    rooms: list[str]
    arrows: list[tuple[str, str]]
    circles: list[list[str]]


def floor_plan(package: str) -> FloorPlan:
    """Draw the floor plan of an importable package."""
    graph = grimp.build_graph(package, cache_dir=None)
    imports = [
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    ]
    rooms = sorted({_room(module) for module in graph.modules if module != package})
    arrows = {(_room(one), _room(other)) for one, other in imports if package not in (one, other)}
    return FloorPlan(
        package=package,
        modules=[room for room in rooms if not graph.find_children(room)],
        rooms=rooms,
        arrows=sorted(arrow for arrow in arrows if arrow[0] != arrow[1]),
        circles=list(_circles(sorted(graph.modules), imports)),
    )


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _circles(modules: list[str], imports: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    number = {module: place for place, module in enumerate(modules)}
    ends = np.array([(number[one], number[other]) for one, other in imports]).reshape(-1, 2).T
    shape = (len(modules), len(modules))
    matrix = csr_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=shape)
    _, group = connected_components(matrix, directed=True, connection="strong")
    for found in np.flatnonzero(np.bincount(group) > 1):
        yield [modules[place] for place in np.flatnonzero(group == found)]


def main() -> int:
    """Print the figures as a table; 1 where a limit is passed or a circle is found."""
    plans = [floor_plan(package) for package in LIMITS]
    print("| package | modules at the top (limit) | rooms | arrows | circles |")
    print("| --- | --- | --- | --- | --- |")
    for plan in plans:
        top = f"{len(plan.modules)} ({LIMITS[plan.package]})"
        figures = f"{len(plan.rooms)} | {len(plan.arrows)} | {len(plan.circles)}"
        print(f"| `{plan.package}` | {top} | {figures} |")
    for plan in plans:
        for circle in plan.circles:
            print(f"circle: {', '.join(circle)}", file=sys.stderr)
        if len(plan.modules) > LIMITS[plan.package]:
            print(f"too many modules: {', '.join(plan.modules)}", file=sys.stderr)
    broken = any(plan.circles or len(plan.modules) > LIMITS[plan.package] for plan in plans)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
