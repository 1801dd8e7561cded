"""Nothing but its own file knows a task: no name of one, of its metric, data or outputs in the rest of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "hwnas"
NAMES = {"classify", "detect", "multilabel", "segment", "mAP", "mIoU"}
KINDS = {"Dataset", "DetectionData", "SegmentationData", "AccuracyMetric", "DetectionMetric", "MeanIouMetric",
         "DetectionHeadLayout", "Classify", "Detect", "Segment", "MultiLabel", "MultiLabelData", "MeanAveragePrecision"}
ROOMS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").is_file())
ELSEWHERE = [room for room in ROOMS if room not in ("tasks", "space", "nets", "profile", "latency", "quantize")]
"""Where ops and heads are described, 'classify' is the kind of an op."""
ALLOWED = {"cli/options.py": "the default that help shows: to ask the table for it would cost an import"}


def dispatched(source: str) -> Iterator[str]:
    """What a file asks by the name of a task, or by the type of what belongs to one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in NAMES:
            yield f"{node.lineno}: {node.value!r}"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            named = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            yield from (f"{node.lineno}: isinstance {kind}" for kind in sorted(named & KINDS))


@pytest.mark.parametrize("room", ELSEWHERE)
def test_no_room_asks_which_task_it_is(room: str) -> None:
    found = {path.relative_to(ROOT).as_posix(): names for path in sorted((ROOT / room).rglob("*.py"))
             if (names := list(dispatched(path.read_text(encoding="utf-8"))))}
    assert found.keys() <= ALLOWED.keys()
    assert all(len(names) == 1 for names in found.values())


@pytest.mark.parametrize(("source", "found"), [
    ("if task == 'detect': pass", ["1: 'detect'"]), ("x = {'mAP': 1}", ["1: 'mAP'"]),
    ("isinstance(data, Dataset | SegmentationData)", ["1: isinstance Dataset", "1: isinstance SegmentationData"]),
    ("isinstance(x, list)", []), ("'boxes to detect'", []),
])
def test_what_counts(source: str, found: list[str]) -> None:
    assert list(dispatched(source)) == found
