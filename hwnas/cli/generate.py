"""hwnas generate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import BUDGETS, Json, Run, takes

if TYPE_CHECKING:
    from hwnas.generate import Front
    from hwnas.pipeline import Answer, Picker

EPILOG = "Example: hwnas generate runs/photos --latency 2ms --flops 20M --top 5"


@takes(*BUDGETS)
def command(
    given: dict[str, Any],
    run: Run,
    top: Annotated[int, typer.Option("--top", min=1, help="How many architectures, best first.")] = 1,
    min_distance: Annotated[int, typer.Option("--min-distance", min=0, help="Choices in which any two differ.")] = 0,
    front: Annotated[bool, typer.Option("--front", help="The whole front, too; alone if no budget is given.")] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the best architecture as JSON.",
                                             show_default=False)] = None,
    json: Json = False,
) -> None:
    """Pick the best architectures within budgets from a search.

    Exact, in milliseconds and without torch. Without a budget: the front of accuracy and latency.
    """
    from hwnas.files import write_json
    from hwnas.pipeline.budget import parse_all
    from hwnas.pipeline.picking import Picker
    from hwnas.pipeline.run import RunFolder

    budgets = parse_all(given)
    picker = Picker.of_run(RunFolder.open(run))
    bounds = picker.absolute(budgets)
    wanted = bool(budgets) or out is not None
    picks = picker.answers(bounds, top, min_distance) if wanted else []
    line = picker.front() if front or not wanted else None
    if out is not None:
        write_json(out, picks[0].architecture.to_json())
    (_say_json if json else _say)(run, picker, bounds, picks, line)


def _say(run: Path, picker: Picker, bounds: dict[str, float], picks: list[Answer], front: Front | None) -> None:
    from hwnas.cli.console import say, say_table
    from hwnas.pipeline.budget import show

    if bounds:
        say("within " + ", ".join(f"{name} {show(name, bound)}" for name, bound in bounds.items()))
    if picks:
        rows = [(i, f"{a.predicted_accuracy:.2f}", *(show(n, a.costs[n]) for n in BUDGETS), _ops(picker, a))
                for i, a in enumerate(picks, 1)]
        say_table(("#", "accuracy", *BUDGETS, "operations"), rows)
    if front is not None:
        say(f"front: {len(front)} architectures that no other beats in both accuracy and latency")
        points = [(show("latency", p.cost), f"{picker.baseline + p.utility:.2f}", _labels(picker, p.choice))
                  for p in front]
        say_table(("latency", "accuracy", "operations"), points)
    say("accuracy: predicted in percent, with shared weights; a sum of effects, so it can pass 100\n"
        f"latency: predicted from a {picker.latency.source} table of {picker.latency.target}")


def _say_json(run: Path, picker: Picker, bounds: dict[str, float], picks: list[Answer], front: Front | None) -> None:
    from hwnas.cli.console import say_json

    points = None if front is None else [
        {"latency_ms": p.cost / 1e6, "predicted_accuracy": picker.baseline + p.utility, "choice": list(p.choice)}
        for p in front
    ]
    say_json({
        "run": str(run), "target": picker.latency.target, "latency_source": picker.latency.source, "bounds": bounds,
        "units": {"latency": "ns", "flops": "multiply-accumulates", "params": "parameters", "memory": "bytes"},
        "picks": [{**a.to_json(), "ops": _ops(picker, a).split(" | ")} for a in picks], "front": points,
    })


def _ops(picker: Picker, answer: Answer) -> str:
    return _labels(picker, answer.architecture.choice)


def _labels(picker: Picker, choice: tuple[int, ...]) -> str:
    return " | ".join(c.ops[i].label for c, i in zip(picker.space.choices, choice, strict=True))
