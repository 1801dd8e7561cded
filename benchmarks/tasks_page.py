"""What benchmarks/tasks.py measured, as a page."""

from __future__ import annotations

from typing import Any

from hwnas.space import Variant

FIRST = ("heavy", "reference", "thinner", "compressed", "taught")  # rows in this order, then searched and scaled
METRICS = {"detect": (("map50", "mAP@.5"), ("map", "mAP@[.5:.95]")), "segment": (("miou", "mIoU"),)}


def page(found: dict[str, dict[str, Any]]) -> str:
    """Markdown for the tasks in `found`."""
    parts = ["# Detection and segmentation", "", "Made by `python benchmarks/tasks.py` (see its help).", ""]
    for task, facts in found.items():
        parts += _task(task, facts)
    return "\n".join(parts) + "\n"


def _task(task: str, facts: dict[str, Any]) -> list[str]:
    rows, heavy = facts["rows"], facts["rows"].get("heavy")
    device = facts["device"] or {"cpu": "unknown processor", "cores": "?"}
    key, title = METRICS[task][0]
    told = [f"## {task}", "",
            f"{facts['data']}. Space {facts['space']['name']}, width {facts['space']['width_mult']:g}, depth "
            f"{facts['space']['depth']}, head {facts['space']['head']}; recipe {facts['recipe'] or 'small'}, "
            f"{facts['epochs']} epochs (heavy {facts['heavy_epochs']}{', in bf16' if facts['heavy_bf16'] else ''}, its "
            f"students {facts['light_epochs']}), seed {facts['seed']}; {device['cpu']}, {device['cores']} cores; torch "
            f"{facts['versions'].get('torch')}, ONNX Runtime {facts['versions'].get('onnxruntime')}; {facts['date']}.",
            "", "| network | " + " | ".join(title for _, title in METRICS[task])
            + " | latency, ms | MFLOPs | parameters | against the heavy one |",
            "|---|" + "---:|" * (len(METRICS[task]) + 4)]
    for name in sorted(rows, key=lambda row: (FIRST.index(row) if row in FIRST else len(FIRST), row)):
        row = rows[name]
        scores = " | ".join(f"{row[metric]:.1f}" for metric, _ in METRICS[task])
        against = (f"{row[key] - heavy[key]:+.1f} points, {heavy['flops'] / row['flops']:.1f} times fewer FLOPs"
                   if heavy and name != "heavy" else "")
        told.append(f"| {name} | {scores} | {row['latency']['median_ms']:.2f} | {row['flops'] / 1e6:.0f} | "
                    f"{row['params'] / 1e6:.2f} M | {against} |")
    if {"compressed", "reference", "thinner"} <= rows.keys():
        old = rows["compressed"]
        shape = Variant.read(facts["variant"]).told or "width 1"
        told += ["", f"Budget {facts['budget']} of the reference's latency; compressed: {shape}, thinner: width "
                 f"{rows['thinner']['width_mult']:g}. {title} of the compressed one: "
                 f"{old[key] - rows['reference'][key]:+.1f} points against the reference, "
                 f"{old[key] - rows['thinner'][key]:+.1f} against the thinner one."]
    return [*told, ""]
