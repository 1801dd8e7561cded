"""Facts to HTML: numbers as people read them, figures, the template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hwnas.pipeline.config.budget import per_second
from hwnas.pipeline.report.charts import figures
from hwnas.pipeline.report.classes import class_table, confusion_table
from hwnas.pipeline.report.contents import ChoiceFacts, Report

if TYPE_CHECKING:
    from jinja2 import Template

NAMES = {
    "latency": "Latency", "predicted_latency": "Predicted latency", "flops": "FLOPs",
    "params": "Parameters", "memory": "Activation memory", "throughput": "Throughput", "latency_p99": "99th percentile",
    "energy": "Energy an image", "peak_memory": "Memory of a process", "file_size": "ONNX file",
    "parity": "Parity with torch",
}
STAGES = {
    "data": "load the data", "profile": "time the blocks", "reference": "train the reference", "search": "search",
    "generate": "solve, time and score", "finetune": "fine-tune", "export": "export and verify",
}


def render(facts: Report) -> str:
    """The page for the facts of a report; every text from outside is escaped.

    Raises:
        KeyError: a fact is missing.
    """
    from jinja2 import UndefinedError

    template = _template("page.html.j2")
    longest = max(op.latency_ms for row in facts.layers for op in (row.reference, row.compressed))
    try:
        return template.render(
            **{field.name: getattr(facts, field.name) for field in fields(facts)}, measured_here=facts.measured_here,
            figures=figures(facts), names=NAMES | {"score": facts.words.title}, stage_names=STAGES,
            columns=_columns(facts.distribution), strongest=_strongest(facts.distribution),
            class_rows=class_table(facts.details, facts.class_columns) if facts.details else None,
            confusion=confusion_table(facts.details) if facts.details else None,
            longest_ms=longest, total_seconds=sum(s.seconds - s.beside for s in facts.stages),
        )
    except UndefinedError as err:
        raise KeyError(str(err)) from err


def render_overview(facts: Mapping[str, Any]) -> str:
    """The page for what report.json says of several budgets; every text from outside is escaped."""
    return _template("overview.html.j2").render(**facts)


def render_own_network(facts: Mapping[str, Any]) -> str:
    """The page of a run on a user's own network; every text from outside is escaped."""
    return _template("own_network.html.j2").render(**facts)


def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hwnas.pipeline", "report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters.update(ms=ms, count=count, in_unit=in_unit, size=size, spaced=spaced, signed=signed,
                               clock=clock, glued=glued, figure=figure)
    return environment.get_template(name)


def figure(value: float | None, digits: int = 1) -> str:
    """A figure of a class; a dash where the class is not there."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def ms(value: float) -> str:
    """Milliseconds with the digits that can be measured: a microsecond, or a thousandth."""
    return f"{value:.3f}" if value < 10 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def count(value: float) -> str:
    """A count with its prefix: 2.30 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.2f}{unit}"
    return f"{value:.0f}"


def size(value: float) -> str:
    """Bytes in powers of 1000."""
    return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB" if value >= 1e3 else f"{value:.0f} B"


def in_unit(value: float, unit: str) -> str:
    """An amount of a budget or a row."""
    if unit == "bytes":
        return size(value)
    return f"{ms(value)} {unit}" if unit in ("ms", "mJ") else per_second(value) if unit == "images/s" else count(value)


def spaced(text: str) -> str:
    """A budget as written, with a space before the unit: 50 %; 200/s has none."""
    if "/" in text:
        return text.strip()
    digits = len(text.rstrip("%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ").strip())
    return f"{text.strip()[:digits]} {text.strip()[digits:].strip()}".strip()


def glued(text: str) -> str:
    """Numbers stay on one line with their units."""
    return re.sub(r"(?<=\d) (?=%|ms\b)", "\N{NO-BREAK SPACE}", text)


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign, a true minus, and no negative zero."""
    text = f"{value:+.{digits}f}"
    return "0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def clock(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _columns(distribution: Sequence[ChoiceFacts]) -> list[str]:
    """A heading per op index; where the choices differ, all their labels."""
    width = max(len(row.ops) for row in distribution)
    columns = ([row.ops[k].label for row in distribution if k < len(row.ops)] for k in range(width))
    return [" / ".join(dict.fromkeys(labels)) for labels in columns]


def _strongest(distribution: Sequence[ChoiceFacts]) -> float:
    """The largest effect either way, the end of the colour scale; never 0."""
    return max(abs(op.effect) for row in distribution for op in row.ops) or 1.0
