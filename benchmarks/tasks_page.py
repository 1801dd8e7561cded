"""What benchmarks/tasks.py measured, as a page."""

from __future__ import annotations

from typing import Any

from hwnas.space import Variant

ROWS = ("heavy", "reference", "thinner", "compressed", "taught", "twentieth")
METRICS = {"detect": (("map50", "mAP@.5"), ("map", "mAP@[.5:.95]")), "segment": (("miou", "mIoU"),)}


def page(found: dict[str, dict[str, Any]]) -> str:
    """Markdown for the tasks in `found`."""
    parts = ["# Detection and segmentation", "", "Made by `python benchmarks/tasks.py` (see its help).", ""]
    for task, facts in found.items():
        parts += _task(task, facts)
    return "\n".join(parts) + "\n"


def _task(task: str, facts: dict[str, Any]) -> list[str]:
    rows, device = facts["rows"], facts["device"]
    base, old = rows["reference"], rows["compressed"]
    told = [f"## {task}", "",
            f"{facts['data']}. Space {facts['space']['name']}, depth {facts['space']['depth']}, head "
            f"{facts['space']['head']}, {facts['epochs']} epochs; {device['cpu']}, {device['cores']} cores; torch "
            f"{facts['versions'].get('torch')}, ONNX Runtime {facts['versions'].get('onnxruntime')}; {facts['date']}. "
            f"The run itself took {facts['run_seconds'] / 60:.0f} minutes.", "",
            "| network | " + " | ".join(title for _, title in METRICS[task])
            + " | latency, ms | of the reference | MFLOPs | parameters |",
            "|---|" + "---:|" * (len(METRICS[task]) + 4)]
    for name in (row for row in ROWS if row in rows):
        row = rows[name]
        scores = " | ".join(f"{row[key]:.1f}" for key, _ in METRICS[task])
        ms = row["latency"]["median_ms"]
        share = 100 * ms / base["latency"]["median_ms"]
        told.append(f"| {name} | {scores} | {ms:.2f} | {share:.0f} % | {row['flops'] / 1e6:.0f} | "
                    f"{row['params'] / 1e6:.2f} M |")
    key, title = METRICS[task][0]
    shape = Variant.read(facts["variant"]).told or "width 1"
    told += ["", f"Budget {facts['budget']} of the reference's latency; compressed: {shape}, thinner: width "
             f"{rows['thinner']['width_mult']:g}. {title} of the compressed one: {old[key] - base[key]:+.1f} "
             f"points against the reference, {old[key] - rows['thinner'][key]:+.1f} against the thinner one."]
    if "heavy" in rows:
        heavy = rows["heavy"]
        against = (f"{name} {rows[name][key] - heavy[key]:+.1f} points at {heavy['flops'] / rows[name]['flops']:.0f} "
                   "times fewer FLOPs" for name in ROWS[1:] if name in rows)
        told += ["", f"Against the heavy one, {facts['heavy_epochs']} epochs: " + "; ".join(against) + "."]
    return [*told, ""]
