"""What benchmarks/tasks.py measured, as a page."""

from __future__ import annotations

from typing import Any

ROWS = ("heavy", "reference", "thinner", "compressed")
METRICS = {"detect": (("map50", "mAP@.5"), ("map", "mAP@[.5:.95]")), "segment": (("miou", "mIoU"),)}


def page(found: dict[str, dict[str, Any]]) -> str:
    """Markdown for the tasks in `found`."""
    parts = ["# Detection and segmentation", "", "Made by `python benchmarks/tasks.py` (see its help).", ""]
    for task, facts in found.items():
        parts += _task(task, facts)
    return "\n".join(parts) + "\n"


def _task(task: str, facts: dict[str, Any]) -> list[str]:
    rows, device = facts["rows"], facts["device"]
    space = facts["space"]
    base, old = rows["reference"], rows["compressed"]
    told = [f"## {task}", "",
            f"{facts['data']}. Space {space['name']}, head {space['head']}, {facts['epochs']} epochs; "
            f"{device['cpu']}, {device['cores']} cores; torch {facts['versions'].get('torch')}, ONNX Runtime "
            f"{facts['versions'].get('onnxruntime')}; {facts['date']}; {facts['seconds'] / 60:.0f} minutes.", "",
            "| network | " + " | ".join(title for _, title in METRICS[task])
            + " | latency, ms | of the reference | MFLOPs | heavy's FLOPs over its | parameters |",
            "|---|" + "---:|" * (len(METRICS[task]) + 5)]
    for name in ROWS:
        row = rows[name]
        scores = " | ".join(f"{row[key]:.1f}" for key, _ in METRICS[task])
        ms = row["latency"]["median_ms"]
        share = 100 * ms / base["latency"]["median_ms"]
        told.append(f"| {name} | {scores} | {ms:.2f} | {share:.0f} % | {row['flops'] / 1e6:.0f} | "
                    f"{rows['heavy']['flops'] / row['flops']:.1f} | {row['params'] / 1e6:.2f} M |")
    key = METRICS[task][0][0]
    told += ["", f"Budget {facts['budget']} of the reference's latency. Compressed against reference: "
             f"{old[key] - base[key]:+.1f} points; against the thinner one: {old[key] - rows['thinner'][key]:+.1f}; "
             f"against the heavy one: {old[key] - rows['heavy'][key]:+.1f}.", ""]
    return told
