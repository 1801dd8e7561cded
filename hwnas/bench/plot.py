"""Regret against evaluations: a line through the medians, whiskers from quartile to quartile, one hue per strategy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.bench.comparison import Result
from hwnas.bench.table import LIMIT, Summary, summaries
from hwnas.errors import MissingDependency, UsageError
from hwnas.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".pdf", ".png", ".svg")
# Okabe & Ito (2008): told apart by colour-blind readers; without the yellow, which is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS, DASHES = "osD^vPX*<>", ("-", "--", ":")
# By which neighbours stand apart, as a share of the counts, and all together: whiskers must not cover each other.
APART, SPREAD = 0.03, 0.25


def check(path: Path) -> None:
    """Find out before the work whether a plot can be written.

    Raises:
        UsageError: a kind of file that is not offered.
        MissingDependency: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a plot is written as {', '.join(SUFFIXES)}, not {path.suffix or path.name!r}: rename {path}")
    _figure_class()


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the plot of results on one benchmark; the kind of file follows from the suffix.

    Raises:
        UsageError, MissingDependency: as `check`.
        InputError: the file cannot be written.
    """
    check(path)
    figure = _figure_class()(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    apart = min(APART, SPREAD / len(results))
    for number, result in enumerate(results):
        _line(axes, result, number, 1 + apart * (number - (len(results) - 1) / 2))
    _frame(axes, results)
    with replacing(path) as beside:
        figure.savefig(beside, format=path.suffix.lower()[1:], dpi=150)


def _line(axes: Axes, result: Result, number: int, shift: float) -> None:
    rows: list[Summary] = summaries(result)
    median = [row.median for row in rows]
    axes.errorbar(
        [row.evaluations * shift for row in rows], median,
        yerr=[[row.median - row.lower for row in rows], [row.upper - row.median for row in rows]],
        label=result.spec.label, color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)],
        linestyle=DASHES[number // len(COLOURS) % len(DASHES)], linewidth=1.6, markersize=5, elinewidth=1.0, capsize=2,
    )


def _frame(axes: Axes, results: Sequence[Result]) -> None:
    limit, counts = results[0].limit(), results[0].evaluations
    if limit is not None:
        axes.axhline(limit, color="0.35", linestyle=(0, (1, 2)), linewidth=1.4, label=LIMIT, zorder=1.5)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("evaluations")
    axes.set_ylabel("regret, median and quartiles")
    axes.set_title(f"{results[0].benchmark}, {len(results[0].regrets()[0])} seeds", loc="left", fontsize=11)
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] == LIMIT)
    axes.legend([handles[i] for i in order], [labels[i] for i in order], loc="center left",
                bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise MissingDependency("matplotlib", "a plot", 'pip install "hwnas[bench]"') from err
    return Figure
