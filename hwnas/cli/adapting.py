"""What `hwnas profile --adapt` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.pipeline.latencies.adapting import Adaptation
    from hwnas.space import Space, Variant
    from hwnas.target import Target


def tell(made: Mapping[Variant, Adaptation], space: Space, target: Target, json: bool) -> None:
    """Print what networks were timed and what the prior is worth; of other variants of the space the same."""
    from hwnas.cli.console import note, say, say_facts, say_json

    if json:
        first, *others = made.items()
        say_json({"target": str(target), "space": space.name, **_facts(first[1]),
                  "variants": {variant.key: _facts(each) for variant, each in others}})
        return
    for number, (variant, each) in enumerate(made.items()):
        kept = each.kept
        if number:
            say("", variant.told)
        say_facts([
            ("target", target), ("space", space.name), ("prior", kept.prior),
            ("measured", f"{kept.networks} networks in {each.seconds:.0f} s, no blocks"),
            ("error", f"{kept.error:.1f} % mean, each network predicted from the others; the prior times one factor "
                      f"{each.scaled_error:.1f} %, a line in FLOPs {kept.line_error:.1f} %"),
            ("interval", f"90 % of networks within a factor of {_band(each):.3f}"),
            ("largest", f"{each.largest_ms:.3f} ms estimated"), ("smallest", f"{each.smallest_ms:.3f} ms estimated"),
            ("model", each.path),
        ])
        for warning in each.warnings:
            note(f"warning: {warning}")


def _band(made: Adaptation) -> float:
    import math

    return math.exp(made.kept.model.calibration.log_spread)


def _facts(made: Adaptation) -> dict[str, Any]:
    kept = made.kept
    return {
        "prior": kept.prior, "networks": kept.networks, "seconds": round(made.seconds, 2), "error": kept.error,
        "scaled_error": made.scaled_error, "line_error": kept.line_error, "interval_factor": _band(made),
        "largest_ms": made.largest_ms, "smallest_ms": made.smallest_ms, "model": str(made.path),
        "warnings": list(made.warnings),
    }
