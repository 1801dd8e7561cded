"""hwnas verify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import TARGET, Json, takes

if TYPE_CHECKING:
    from hwnas.pipeline.exported.checking import Check

EPILOG = "Example: hwnas verify model.onnx --samples samples.safetensors --latency 8ms"


@takes("latency", "data", "target", *TARGET)
def command(
    given: dict[str, Any],
    model: Annotated[Path, typer.Argument(metavar="RUN|MODEL.onnx", help="A run folder or an exported model.",
                                          show_default=False)],
    samples: Annotated[Path | None, typer.Option("--samples", help="Images with torch's logits.",
                                                 show_default="samples.safetensors beside the model")] = None,
    json: Json = False,
) -> None:
    """Check an exported model on this device; needs no torch.

    Does it give torch's logits and answers, how good is it, does it run within the budget? Exit code 4 if not.
    In a precision below fp32: does it keep the score that torch has on the same images, to within a point?
    """
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.exported.checking import check_model

    overrides = {name: given.get(name) for name in TARGET}
    with watching(json) as watch:
        found = check_model(model, samples=samples, latency=given.get("latency"), data=given.get("data"),
                            target=given.get("target"), overrides=overrides, progress=watch.progress)
    _say(found, json)
    found.verdict.check()


def _say(found: Check, json: bool) -> None:
    from hwnas.cli.console import say_facts, say_json
    from hwnas.pipeline.display.score_lines import class_lines

    if json:
        say_json(found.to_json())
        return
    v = found.verdict
    lines: list[tuple[str, object]] = [
        ("model", found.model), ("target", found.target),
        ("logits" if v.counts_images else "outputs", f"at most {v.max_difference:.1e} from torch's"),
        ("answers", f"{v.agreement:.2f} % are torch's" if v.counts_images else
         f"{v.metric} to {100 - v.agreement:.2f} points as torch has it"),
        (v.metric, f"{v.score:.2f} % {'of' if v.counts_images else 'over'} {v.images} images"
         + (f" ({v.breakdown.standing.told})" if v.breakdown and v.breakdown.standing.told else "")),
        *(class_lines(v.breakdown.to_json()) if v.breakdown else []),
    ]
    if v.loss is not None:
        lines.append(("loss", f"{0 - v.loss.drop:+.2f} points against fp32, standard error {v.loss.error:.2f}"))
    lines += _about_speed(found)
    say_facts([*lines, *(("warning", warning) for warning in found.warnings), ("verdict", _verdict(found))])


def _about_speed(found: Check) -> list[tuple[str, object]]:
    """The latency, what it was held against, and what came of it."""
    latency, promise, judgement = found.verdict.latency, found.promise, found.verdict.judgement
    lines: list[tuple[str, object]] = [("budget", promise.text() if promise is not None else "none")]
    if latency is not None:
        lines.append(("latency", f"{latency.median_ms:.3f} ms ({latency.p10_ms:.3f}-{latency.p90_ms:.3f})"))
    if found.reference is not None:
        lines.append(("reference", f"{found.reference.median_ms:.3f} ms, timed in turns with the model"))
    if found.elsewhere is not None:
        lines.append(("judged", f"not the latency: {found.elsewhere}"))
    elif judgement is not None:
        lines.append(("judged", judgement.sentence))
    return lines


def _verdict(found: Check) -> str:
    """What the exit code says; a model that knows nothing is as exported, and not called good."""
    if found.verdict.failures():
        return "failed"
    parts = found.verdict.breakdown
    return "as exported, but see the warnings" if parts and parts.standing.level == "nothing" else "good"
