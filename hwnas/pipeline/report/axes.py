"""A small SVG canvas with two linear axes; colours come from the page's style, so that dark mode works.

The canvas is 480 units wide: a phone shows it at three quarters of its size, where the text can still be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 66, 18, 14, 48
LEAST = 2.0  # points, of an axis of scores
SHAPES = {
    "dot": "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0z",
    "square": "M-.9,-.9h1.8v1.8h-1.8z",
    "diamond": "M0,-1.25L1.25,0L0,1.25L-1.25,0z",
    "triangle": "M0,-1.2L1.15,.9L-1.15,.9z",
}
Point = tuple[float, float]


def ticks(low: float, high: float, count: int = 5, least: float = 0.0) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten, at least `least` apart) within low..high."""
    raw = max((high - low) / count, least)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def span(values: Iterable[float], margin: float = 0.06) -> Point:
    """Lowest and highest value with a margin; never empty."""
    found = list(values)
    low, high = min(found), max(found)
    room = (high - low) * margin or max(abs(high) * margin, 1e-3)
    return low - room, high + room


def score_span(values: Sequence[float]) -> tuple[Point, str]:
    """An axis of scores, percent, and a word on where it begins.

    It is at least `LEAST` points high, so that noise does not look like a slope; where the first scores lie far below
    the others, as while a network begins to learn, it begins above them.
    """
    low, high = min(values), max(values)
    quarter = sorted(values)[len(values) // 4]
    if len(values) >= 8 and high - low > 4 * (high - quarter) > 0:
        low = quarter - (high - quarter) / 2
    room = max(0.08 * (high - low), (LEAST - (high - low)) / 2)
    low, high = low - room, high + room
    if low <= 0 <= min(values):
        return (min(0.0, low) if min(values) == 0 else 0.0, high), ""
    below = sum(value < low for value in values)
    return (low, high), f"axis from {low:.1f} %{f', {below} lower ones are not shown' if below else ''}"


def mark(shape: str, x: float, y: float, size: float, style: str, tip: str = "") -> Markup:
    """A symbol; `style` holds CSS classes: a colour and `full` (measured) or `open` (predicted)."""
    title = Markup("<title>{}</title>").format(tip) if tip else ""
    return Markup('<path class="mark {}" d="{}" transform="translate({:.1f} {:.1f}) scale({})">{}</path>').format(
        style, SHAPES[shape], x, y, size, title)


@dataclass
class Canvas:
    """Axes and what is drawn on them, in data units.

    Args:
        name: id of the figure on the page.
        title, text: what it shows, for those who cannot see it.
        x, y: ranges of the axes.
        x_label, y_label: with the unit; a leading ~ marks predicted numbers.
        whole_x: whether x counts something, so that fractions make no sense.
        under: drawn before the parts, not kept inside the axes.
        more_height: room below the axes, for `under`.
    """

    name: str
    title: str
    text: str
    x: Point
    y: Point
    x_label: str
    y_label: str
    whole_x: bool = False
    parts: list[Markup] = field(default_factory=list)
    under: Markup = field(default_factory=Markup)
    more_height: int = 0

    def px(self, x: float) -> float:
        return LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)

    def py(self, y: float) -> float:
        return HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)

    def mark(self, shape: str, x: float, y: float, size: float, style: str, tip: str = "") -> None:
        self.parts.append(mark(shape, self.px(x), self.py(y), size, style, tip))

    def line(self, points: Sequence[Point], style: str) -> None:
        """A line through points; class `dashed` in `style` for predicted ones."""
        self.parts.append(Markup('<polyline class="line {}" points="{}"/>').format(style, self._path(points)))

    def area(self, points: Sequence[Point], style: str) -> None:
        self.parts.append(Markup('<polygon class="{}" points="{}"/>').format(style, self._path(points)))

    def label(self, x: float, y: float, text: str, style: str = "", dx: float = 0, dy: float = 0) -> None:
        """Text at a place; it ends there instead of starting where it would leave the canvas."""
        left, room = self.px(x) + dx, 7.2 * len(text)
        anchor = "end" if left + room > WIDTH - RIGHT else "start"
        at = left - 2 * dx if anchor == "end" else left
        self.parts.append(Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
            style, at, self.py(y) + dy, anchor, text))

    def render(self) -> Markup:
        """The whole figure as an SVG element with a title and a description."""
        clip = Markup('<clipPath id="{0}-clip"><rect x="{1}" y="{2}" width="{3}" height="{4}"/></clipPath>').format(
            self.name, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
        head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{n}-t {n}-d">'
                      '<title id="{n}-t">{}</title><desc id="{n}-d">{}</desc>').format(
            WIDTH, HEIGHT + self.more_height, self.title, self.text, n=self.name)
        body = Markup("").join(self.parts)
        plot = Markup('<g clip-path="url(#{}-clip)">{}</g></svg>').format(self.name, body)
        return head + clip + self._grid() + self.under + plot

    def _grid(self) -> Markup:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        rows = []
        for value, text in _labelled(*self.x, 1.0 if self.whole_x else 0.0):
            rows.append(Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                self.px(value), bottom + 18, text))
        for value, text in _labelled(*self.y):
            rows.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/><text class="tick" x="{}" y="{:.1f}" '
                               'text-anchor="end">{}</text>').format(
                LEFT, self.py(value), right, LEFT - 6, self.py(value) + 4, text))
        rows.append(Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(LEFT, TOP, bottom, right))
        rows.append(self._axis_title(self.x_label, f'x="{(LEFT + right) / 2}" y="{HEIGHT - 8}"'))
        middle = (TOP + bottom) / 2
        rows.append(self._axis_title(self.y_label, f'transform="translate(13 {middle}) rotate(-90)"'))
        return Markup("").join(rows)

    @staticmethod
    def _axis_title(text: str, place: str) -> Markup:
        style = "title est" if text.startswith("~") else "title"
        return Markup('<text class="{}" {} text-anchor="middle">{}</text>').format(style, Markup(place), escape(text))

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self.px(x):.1f},{self.py(y):.1f}" for x, y in points)


def _labelled(low: float, high: float, least: float = 0.0) -> list[tuple[float, str]]:
    values = ticks(low, high, least=least)
    step = values[1] - values[0] if len(values) > 1 else high - low
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(v, f"{v + 0.0:.{digits}f}") for v in values]
