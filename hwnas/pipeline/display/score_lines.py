"""How a score is said: never without what it must be held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hwnas.pipeline.run.cautions import against_of
from hwnas.pipeline.run.result_parts import StandingResult

SHOWN = 8  # classes whose recall is a line


class Scored(Protocol):
    """What a stage or a check found: a score in percent, and what it is worth; runs of hwnas 0.1 do not say that."""

    @property
    def score(self) -> float:
        """Percent."""

    @property
    def standing(self) -> StandingResult | None:
        """What it is worth."""


def score(found: Scored) -> str:
    """"63.04 % (always 'x': 61.70 %)"."""
    told = found.standing.told if found.standing else ""
    return f"{found.score:.2f} %" + (f" ({told})" if told else "")


def counts_images(standing: StandingResult | None) -> bool:
    """Whether the images of a score count one by one, as those of logits do; then one image is worth something."""
    return standing is None or standing.one_image is not None


def standing_rows(reference: Scored, compressed: Scored) -> list[tuple[str, str, str, str]]:
    """Rows below the score in a table of both networks."""
    old, new = reference.standing, compressed.standing
    if not old or not new:
        return []
    rows: list[tuple[str, str, str, str]] = []
    if against := against_of(old):
        rows.append((f"{against}, %", f"{old.majority_score:.2f}", f"{new.majority_score:.2f}", ""))
    if old.interval and new.interval:
        rows.append(("95 % interval, %", _range(old.interval), _range(new.interval), ""))
        rows.append(("mean recall, %", f"{old.mean_recall:.2f}", f"{new.mean_recall:.2f}", ""))
    return rows


def _range(ends: Sequence[float]) -> str:
    return f"{ends[0]:.1f}-{ends[1]:.1f}"


def class_lines(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines of a check: what the score can tell, and the classes that are found least."""
    standing = details["standing"]
    key = next((k for k in ("recall", "ap50") if k in details["per_class"][0]), None)  # how much of a class is found
    lines = []
    if standing["interval"]:
        low, high = standing["interval"]
        lines.append(("interval", f"95 %: {low:.1f} to {high:.1f} %; one image is {standing['one_image']:.2f} points"))
    if key is None:
        return lines
    known = sorted((row for row in details["per_class"] if row[key] is not None), key=lambda row: float(row[key]))
    told = ", ".join(f"{row['class']} {row[key]:.1f}" for row in known[:SHOWN])
    least = f", the least of {len(known)}" if len(known) > SHOWN else ""
    name = "AP@.5" if key == "ap50" else key
    return [*lines, (name, f"{told} %{least}")] if known else lines
