"""One line about every stage of a run when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Facts = Mapping[str, Any]


def _data(found: Facts) -> str:
    space = f"space {found['space']['name']}: {found['choices']} choices, {int(found['size']):,} architectures"
    return f"{found['summary']}\n{'':<22}{space}"


def _profile(found: Facts) -> str:
    timed = f"{found['measured']} blocks timed" if found["measured"] else "table is full"
    error = f", error on held-out networks {found['held_out']['mape']:.1f} %" if found.get("held_out") else ""
    return f"{timed}{error}; reference predicted at {found['reference_ms']:.3f} ms"


def _trained(found: Facts) -> str:
    return f"accuracy {found['accuracy']:.2f} %"


def _search(found: Facts) -> str:
    return f"{found['evaluations']} evaluations, mean accuracy with shared weights {found['baseline']:.2f} %"


def _generate(found: Facts) -> str:
    return (f"{len(found['candidates'])} candidates within the budget; the best measured "
            f"{found['measured_ms']['median_ms']:.3f} ms, reference "
            f"{found['reference_measured_ms']['median_ms']:.3f} ms")


def _export(found: Facts) -> str:
    verdict = found["verdict"]
    return (f"accuracy {verdict['accuracy']:.2f} %, median {verdict['latency']['median_ms']:.3f} ms, logits within "
            f"{verdict['max_difference']:.0e} of torch's")


_LINES: dict[str, Callable[[Facts], str]] = {
    "data": _data, "profile": _profile, "reference": _trained, "search": _search, "generate": _generate,
    "finetune": _trained, "export": _export,
}


def line(stage: str, result: Facts) -> str:
    """What a finished stage found."""
    return _LINES[stage](result) if stage in _LINES else ""
