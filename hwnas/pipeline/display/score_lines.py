"""How a score is said: never without what it must be held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.pipeline.run.cautions import against_of

Facts = Mapping[str, Any]
SHOWN = 8  # classes whose recall is a line


def score(found: Facts) -> str:
    """"63.04 % (always 'x': 61.70 %)" from what a stage or a check found; runs of hwnas 0.1 have no standing."""
    told = (found.get("standing") or {}).get("told")
    return f"{found['accuracy']:.2f} %" + (f" ({told})" if told else "")


def counts_images(verdict: Facts) -> bool:
    """Whether the images of a score count one by one, as those of logits do; then one image is worth something."""
    return (verdict.get("standing") or {"one_image": 0}).get("one_image") is not None


def standing_rows(reference: Facts, compressed: Facts) -> list[tuple[str, str, str, str]]:
    """Rows below the score in a table of both networks."""
    old, new = reference.get("standing"), compressed.get("standing")
    if not old or not new:
        return []
    rows: list[tuple[str, str, str, str]] = []
    if against := against_of(old):
        rows.append((f"{against}, %", f"{old['majority_score']:.2f}", f"{new['majority_score']:.2f}", ""))
    if old["interval"]:
        rows.append(("95 % interval, %", _range(old["interval"]), _range(new["interval"]), ""))
        rows.append(("mean recall, %", f"{old['mean_recall']:.2f}", f"{new['mean_recall']:.2f}", ""))
    return rows


def _range(ends: Sequence[float]) -> str:
    return f"{ends[0]:.1f}-{ends[1]:.1f}"


def class_lines(details: Facts) -> list[tuple[str, str]]:
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
