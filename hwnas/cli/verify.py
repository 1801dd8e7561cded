"""hwnas verify"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import TARGET, Json, takes

if TYPE_CHECKING:
    from hwnas.pipeline.exported.checking import Check
    from hwnas.pipeline.exported.own_checking import OwnCheck
    from hwnas.runtime import Measurement
    from hwnas.runtime.promise import Judgement, Promise

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
    What became of your own network is held against what it gave when it was made, and against your network.
    """
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.exported.checking import check_model
    from hwnas.pipeline.exported.own_checking import OwnCheck

    overrides = {name: given.get(name) for name in TARGET}
    with watching(json) as watch:
        found = check_model(model, samples=samples, latency=given.get("latency"), data=given.get("data"),
                            target=given.get("target"), overrides=overrides, progress=watch.progress)
    if isinstance(found, OwnCheck):
        _say_own(found, json)
        found.check()
        return
    _say(found, json)
    found.check()


def _say_own(found: OwnCheck, json: bool) -> None:
    from hwnas.cli.console import say_facts, say_json

    if json:
        say_json(found.to_json())
        return
    words = [word for word in ("agreement", "accuracy") if word in found.scores]
    say_facts([
        ("model", f"{found.model}, of {found.network}"), ("target", found.target),
        ("outputs", f"{found.difference:.1e} from those that were stored on {found.images} images ({found.how})"
         if found.difference is not None else "not compared: they differ in their shapes from image to image"),
        *([("loss", f"{found.scores['loss']:.4f} +- {found.scores['loss_se']:.4f} against {found.network} on "
                    f"{found.judged:,} images")] if found.scores else []),
        *((word, f"{found.scores[word]:.2f} % +- {found.scores[f'{word}_se']:.2f}") for word in words),
        *_about_speed(found.latency, found.beside, found.promise, found.judgement, found.elsewhere),
        ("verdict", "failed" if found.failures() else "good")])


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
    lines += _about_speed(v.latency, found.reference, found.promise, v.judgement, found.elsewhere)
    lines += _spent(found)
    say_facts([*lines, *(("warning", warning) for warning in found.warnings), ("verdict", _verdict(found))])


def _spent(found: Check) -> list[tuple[str, object]]:
    """What it takes besides its median time; where there is a budget on it, what came of that."""
    from hwnas.runtime.spending import NAMES, amount

    figures = found.spent.figures if found.spent else {}
    rows = {NAMES[name]: amount(name, value) for name, value in figures.items()}
    judged = {NAMES[kept.name]: kept.sentence.removeprefix(f"{NAMES[kept.name]} ") for kept in found.kept}
    return list((rows | judged).items())


def _about_speed(latency: Measurement | None, reference: Measurement | None, promise: Promise | None,
                 judgement: Judgement | None, elsewhere: str | None) -> list[tuple[str, object]]:
    """The latency, what it was held against, and what came of it."""
    lines: list[tuple[str, object]] = [("budget", promise.text() if promise is not None else "none")]
    if latency is not None:
        lines.append(("latency", f"{latency.median_ms:.3f} ms ({latency.p10_ms:.3f}-{latency.p90_ms:.3f})"))
    if reference is not None:
        lines.append(("reference", f"{reference.median_ms:.3f} ms, timed in turns with the model"))
    if elsewhere is not None:
        lines.append(("judged", f"not the latency: {elsewhere}"))
    elif judgement is not None:
        lines.append(("judged", judgement.sentence))
    return lines


def _verdict(found: Check) -> str:
    """What the exit code says; a model that knows nothing is as exported, and not called good."""
    if found.failures():
        return "failed"
    parts = found.verdict.breakdown
    return "as exported, but see the warnings" if parts and parts.standing.level == "nothing" else "good"
