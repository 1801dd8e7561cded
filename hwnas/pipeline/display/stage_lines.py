"""One line about every stage of a run when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hwnas.pipeline.commands import nearby
from hwnas.pipeline.display.score_lines import score
from hwnas.pipeline.display.watch import duration
from hwnas.progress import plural

if TYPE_CHECKING:
    from hwnas.pipeline.run.folder import RunFolder

Facts = Mapping[str, Any]
BREAK = f"\n{'':<22}"  # before a further line: name and seconds of the stage stand in front of the first


def _data(found: Facts) -> str:
    space = (f"space {found['space']['name']}: {plural(found['choices'], 'choice')}, "
             f"{int(found['size']):,} architectures")
    return f"{found['summary']}{BREAK}{space}"


def _profile(found: Facts) -> str:
    lines = [_lane(lane, found) for lane in found.get("lanes", [found])]
    return BREAK.join([*lines, *_reference(found)])


def _reference(found: Facts) -> list[str]:
    """What percentages are of from now on; nothing of a run of hwnas 0.1."""
    if "reference" not in found:
        return []
    reference = found["reference"]
    told = f"reference {reference['latency_ms']:.3f} ms {reference['basis']}"
    return ["; ".join([told, *(f"budget {name} {text}" for name, text in found["limits"].items())])]


def _lane(lane: Facts, found: Facts) -> str:
    reference = f"reference predicted at {lane['reference_ms']:.3f} ms"
    named = f"{lane['precision']}: " if len(found.get("lanes", [])) > 1 else ""
    warned = "".join(f"; warning: {warning}" for warning in lane.get("warnings", []))
    if lane.get("source") == "estimated":
        low, high = lane["reference_low_ms"], lane["reference_high_ms"]
        return (f"{named}nothing measured: reference estimated at {lane['reference_ms']:.3f} ms "
                f"({low:.3f}-{high:.3f}){warned}")
    timed = f"{plural(lane['measured'], 'block')} timed" if lane["measured"] else "table is full"
    error = f", error on held-out networks {lane['held_out']['mape']:.1f} %" if lane.get("held_out") else ""
    return f"{named}{timed}{error}; {reference}{warned}"


def _trained(found: Facts) -> str:
    return f"{_metric(found)} {score(found)}"


def _metric(found: Facts) -> str:
    return str(found.get("metric", "accuracy"))


def _search(found: Facts) -> str:
    return (f"{plural(found['evaluations'], 'evaluation')}, mean {_metric(found)} with shared weights "
            f"{found['baseline']:.2f} %")


def _generate(found: Facts) -> str:
    within = ", ".join(f"{name} {text}" for name, text in found.get("limits", {}).items()) or "the budget"
    count = f"{plural(len(found['candidates']), 'candidate')} within {within}"
    out = "".join(f"; {precision} is out: {why}" for precision, why in found.get("out", {}).items())
    chosen = f" in {found['precision']}" if found.get("precision", "fp32") != "fp32" else ""
    if found["measured_ms"] is None:
        word = "estimated" if found["latency_source"] == "estimated" else "predicted"
        return (f"{count}; the best{chosen} {word} at {found['predicted']['latency'] / 1e6:.3f} ms "
                f"({found['predicted_low_ms']:.3f}-{found['predicted_high_ms']:.3f}), not measured{out}")
    return (f"{count}; the best{chosen} measured {found['measured_ms']['median_ms']:.3f} ms, reference "
            f"{found['reference_measured_ms']['median_ms']:.3f} ms{out}")


def _export(found: Facts) -> str:
    verdict = found["verdict"]
    exact = found.get("exact") or verdict
    latency = (f"median {verdict['latency']['median_ms']:.3f} ms" if verdict["latency"]
               else "not measured on the device")
    loss = verdict.get("loss")
    lost = f", {verdict['precision']} against fp32 {0 - loss['drop']:+.2f} points" if loss else ""
    outputs = ("fp32 " if loss else "") + ("logits" if _metric(verdict) == "accuracy" else "outputs")
    return (f"{_metric(verdict)} {score(verdict)}{lost}, {latency}, {outputs} within "
            f"{exact['max_difference']:.0e} of torch's")


_LINES: dict[str, Callable[[Facts], str]] = {
    "data": _data, "profile": _profile, "reference": _trained, "search": _search, "generate": _generate,
    "finetune": _trained, "export": _export,
}


def line(stage: str, result: Facts) -> str:
    """What a finished stage found."""
    told = _LINES[stage](result) if stage in _LINES else ""
    told += f"{BREAK}{result['close']}" if result.get("close") else ""
    return told + "".join(f"{BREAK}warning: {warning}" for warning in result.get("warnings", []) if stage == "data")


def heading(run: RunFolder) -> list[str]:
    """What a run is about."""
    config = run.state.config
    budgets = ", ".join(f"{name} {text}" for name, text in config.budgets.items())
    return [f"{nearby(config.data)} -> {nearby(config.target)}, space {config.space}, budget {budgets}, "
            f"seed {config.seed}",
            f"run folder {run.path}"]


def ended(stage: str, event: str, seconds: float, run: RunFolder) -> list[str]:
    """What a finished stage found, after its name and how long it took or that it was 'kept'."""
    took = "kept" if event == "kept" else duration(seconds)
    first, *others = line(stage, run.result(stage)).split(BREAK)
    return [f"{stage:<10} {took:>9}  {first}".rstrip(), *(f"{BREAK[1:]}{other}" for other in others)]
