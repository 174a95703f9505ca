"""Plots of the newest figures, as SVG: growth with the number of items, gains in the draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Plot

from tests.benchmarks.history import Entry, Figure, newest

_COLOURS = ("#0b6e99", "#0bb0b0", "#7fc8a9", "#d9480f", "#f08c00", "#a61e4d", "#5f3dc4", "#495057")


def write_all(entries: list[Entry], folder: Path) -> None:
    """Write the plots that there are figures for."""
    mpl.use("svg")
    # the same figures give the same file
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    for name, (section, draw) in PLOTS.items():
        tree = {path: value for path, (value, _) in newest(entries, section).items()}
        if tree:
            plot = Plot(figsize=(7, 3.6), layout="constrained")
            draw(tree, plot.subplots())
            plot.savefig(folder / f"{name}.svg", metadata={"Date": None})


def growth(tree: dict[str, Figure], axes: Any) -> None:
    """Wall time of each contender against the number of items, both logarithmic."""
    _lines(tree, "seconds", axes)
    axes.set_ylabel("seconds")


def memory(tree: dict[str, Figure], axes: Any) -> None:
    """Peak memory of each contender against the number of items, both logarithmic."""
    _lines(tree, "peak_mb", axes)
    axes.set_ylabel("peak memory, MB")


def _lines(tree: dict[str, Figure], last: str, axes: Any) -> None:
    series: dict[str, list[tuple[int, float]]] = {}
    for path, value in tree.items():
        n, name, figure = path.split("/")
        if figure == last and isinstance(value, float | int):
            series.setdefault(name, []).append((int(n), value))
    for colour, (name, points) in zip(_COLOURS * 2, series.items(), strict=False):
        width = 2.4 if name.startswith("ours") else 1.2
        axes.plot(
            *zip(*sorted(points), strict=True), "o-", color=colour, label=name, lw=width, ms=4
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    items = sorted({n for points in series.values() for n, _ in points})
    axes.set_xticks(items, [f"{n:,}" for n in items])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("items")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def gains(tree: dict[str, Figure], axes: Any) -> None:
    """Gain in every draw of topics over the best single setting of a peer."""
    levels = [path.removesuffix("/gains") for path in tree if path.endswith("/gains")]
    for row, level in enumerate(levels):
        values = tree[f"{level}/gains"]
        axes.plot(values, [row] * len(values), "|", color=_COLOURS[0], ms=14, mew=1.2)  # type: ignore[arg-type]
        axes.plot(tree[f"{level}/ours/gain"], row, "o", color=_COLOURS[3], ms=5)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(levels)), levels)
    axes.set_ylim(len(levels) - 0.5, -0.5)
    axes.set_xlabel("gain in B-cubed F1: every draw, and their mean")


PLOTS: dict[str, tuple[str, Callable[[dict[str, Figure], Any], None]]] = {
    "growth": ("speed", growth),
    "memory": ("speed", memory),
    "gains": ("bootstraps", gains),
}
