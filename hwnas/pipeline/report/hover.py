"""The front's architectures under the pointer: strips of the figure that show their layers below it, without a script.

Every point owns the strip of the plot that is nearest to it in latency; where points lie closer than a pointer can
tell, one of them stands for its neighbours. A strip shows its text on hover, on a tap, and where the address of the
page ends in its id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from hwnas.pipeline.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Canvas
from hwnas.pipeline.report.contents import ChoiceFacts, FrontPoint

COLUMNS, LINE, TITLE = 3, 16, 22
APART = 2.0  # units of the canvas between two points that can be told apart


def shown(canvas: Canvas, points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """The points that get a strip: the last of every run that lies closer than `APART`, and the first of all."""
    kept: list[FrontPoint] = []
    for point in points:
        if len(kept) > 1 and canvas.px(point.latency_ms) - canvas.px(kept[-2].latency_ms) < APART:
            kept.pop()
        kept.append(point)
    return kept


def strips(canvas: Canvas, points: Sequence[FrontPoint], chosen: FrontPoint,
           rows: Sequence[ChoiceFacts]) -> tuple[Markup, int]:
    """What goes below and into the plot, and how much higher the figure becomes.

    Args:
        points: of the front, by rising latency.
        chosen: the point of the chosen architecture, shown while none is pointed at.
        rows: the distribution: per choice its position and the labels of its ops.
    """
    height = TITLE + LINE * math.ceil(len(rows) / COLUMNS) + 10
    kept = shown(canvas, points)
    at = [canvas.px(point.latency_ms) for point in kept]
    edges = [float(LEFT), *((a + b) / 2 for a, b in pairwise(at)), float(WIDTH - RIGHT)]
    parts = [_panel(chosen, chosen, rows, "chosen", height)]
    for i, (point, x) in enumerate(zip(kept, at, strict=True)):
        tip = _panel(point, chosen, rows, "front", height)
        parts.append(Markup(
            '<g class="pt" id="front-p{}" tabindex="-1">'
            '<rect class="hit" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/><g class="tip">{}'
            '<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="7"/></g></g>').format(
                i, edges[i], TOP, edges[i + 1] - edges[i], HEIGHT - BOTTOM - TOP, tip, x, canvas.py(point.score)))
    return Markup("").join(parts), height


@dataclass(frozen=True)
class ShownPoint:
    """A point that can be told apart: milliseconds, percent, its operations as text."""

    latency_ms: float
    score: float
    operations: str


def with_operations(points: Sequence[FrontPoint], rows: Sequence[ChoiceFacts]) -> list[ShownPoint]:
    """Points with their operations as text."""
    return [ShownPoint(p.latency_ms, p.score, " | ".join(_labels(p, rows))) for p in points]


def _labels(point: FrontPoint, rows: Sequence[ChoiceFacts]) -> list[str]:
    """"position label" of every choice of an architecture."""
    return [f"{row.position} {row.ops[k].label}" for row, k in zip(rows, point.choice, strict=True)]


def _panel(point: FrontPoint, chosen: FrontPoint, rows: Sequence[ChoiceFacts], what: str, height: int) -> Markup:
    head = f"{what}: ~{point.latency_ms:.3f} ms, ~{point.score:.2f} %"
    lines = [Markup('<rect class="panel" x="0" y="{}" width="{}" height="{}"/>'
                    '<text class="est" x="8" y="{}">{}</text>').format(
        HEIGHT, WIDTH, height, HEIGHT + 14, head)]
    per, width = math.ceil(len(rows) / COLUMNS), (WIDTH - 16) / COLUMNS
    for i, label in enumerate(_labels(point, rows)):
        style = "tick" if point.choice[i] == chosen.choice[i] else "other"
        lines.append(Markup('<text class="{}" x="{:.0f}" y="{}">{}</text>').format(
            style, 8 + (i // per) * width, HEIGHT + TITLE + 12 + LINE * (i % per), label))
    return Markup("").join(lines)
