"""The command that a run advises next: complete, quoted, and what it measures is what the run looks up."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from hwnas.cli.app import make_app
from hwnas.cli.profile import asked
from hwnas.latency import Entry, Table, table_path
from hwnas.pipeline import CompressConfig
from hwnas.pipeline.commands import ON_THE_DEVICE, profile_command
from hwnas.pipeline.latencies.latency_sources import targets_of
from hwnas.pipeline.latencies.tables import default_folder
from hwnas.pipeline.single_stage import spaces_for
from hwnas.space import Space, SpaceConfig, build
from hwnas.target import load


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("a", "b", "c", "d", "e", "f"):
        (tmp_path / "my photos" / kind).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(
                tmp_path / "my photos" / kind / f"{i}.png")
    return tmp_path / "my photos"


@pytest.fixture
def flags(photos: Path, tmp_path: Path) -> list[str]:
    board = load("raspberry-pi-4").model_dump(mode="json", exclude={"docker", "aliases"}) | {"name": "my-board"}
    board["hardware"] |= {"launch": "cpu", "processor": "cpu"}
    (tmp_path / "my board.yaml").write_text(json.dumps(board), encoding="utf-8")
    return ["--data", str(photos), "--target", str(tmp_path / "my board.yaml"), "--imgsz", "16", "--depth", "1",
            "--width-mult", "0.5", "--threads", "1", "--tables", str(tmp_path / "its tables"), "--flops", "95%"]


def test_what_the_advised_command_measures_is_what_the_run_uses(flags: list[str], answer: Callable[..., Any],
                                                                 tmp_path: Path) -> None:
    before = answer("compress", *flags, "--dry-run")
    assert before["latency_source"] == "estimated"
    words = shlex.split(before["next"])
    assert words[0] == "hwnas"
    assert tuple(words[-2:]) == ON_THE_DEVICE
    made = answer(*words[1:-2], "--max-seconds", "2")
    (head,) = [s for s in Table.read(Path(made["table"])).entries if s.startswith("head ")]
    assert head.rpartition("-")[2].split()[0] == "6"
    after = answer("compress", *flags, "--dry-run")
    assert (after["latency_source"], after["blocks_to_time"]) == ("measured", 0)
    assert after["table"] == made["table"]
    assert after["warnings"] == []


def test_a_table_that_lacks_a_block_is_used_and_named(flags: list[str], answer: Callable[..., Any],
                                                      tmp_path: Path) -> None:
    space = build(SpaceConfig("mobile", 16, 3, 6, 0.5, 1))
    target = load(str(tmp_path / "my board.yaml"), threads=1)
    table = Table.open(table_path(tmp_path / "its tables", target), target, {"cpu": "a board"}, source="measured")
    *held, lacking = space.signatures
    table.add([Entry(s, 0.5, 0.4, 0.6, 20, "2026") for s in held])
    (warning,) = answer("compress", *flags, "--dry-run")["warnings"][-1:]
    assert f"lacks 1 of {len(space.signatures)} blocks" in warning
    assert lacking in warning
    assert "hwnas profile --target" in warning
    found = answer("compress", *flags, "--dry-run")
    plain = sum(0.5 for op in space.largest() if op.timed)
    assert found["reference"]["latency"] / 1e6 == pytest.approx(plain, rel=0.2)


@pytest.mark.parametrize("options", [
    {}, {"width_mult": 0.3333333333333333, "depth": 2, "threads": 3, "batch": 2, "tables": "/a b/c'd"},
    {"runtime": "openvino", "tables": "/$(x)", "widths": "1", "sizes": "96"}, {"widths": "0.75,0.5", "sizes": "96,64"},
    {"task": "detect", "widths": "0.5", "sizes": "96"}, {"task": "detect", "head": "ssdlite", "head_width": 64},
    {"task": "segment", "output_stride": 32}, {"task": "segment", "head": "deeplab", "widths": "1"},
])
@pytest.mark.parametrize(("classes", "channels"), [(6, 3), (1, 1)])
def test_every_configuration_is_said_whole(options: dict[str, Any], classes: int, channels: int) -> None:
    config = CompressConfig(target="raspberry-pi-4", **options)
    space = _space(config, classes, channels if config.task == "classify" else 3)
    (target,) = targets_of(config)
    words = shlex.split(profile_command(config, space, target))
    command = get_command(make_app()).commands["profile"]  # type: ignore[attr-defined]
    params = {k: v for k, v in command.make_context("profile", words[2:]).params.items() if v is not None}
    given_ = {k: v for k, v in params.items() if k not in ("channels", "classes", "device")}
    found, whose = asked(given_, params.get("channels"), params.get("classes"))
    assert found.config == space.config
    assert whose == target
    folder = Path(given_["tables"]) if "tables" in given_ else default_folder()
    wanted = Path(config.target.tables) if config.target.tables else default_folder()
    assert table_path(folder, whose) == table_path(wanted, target)
    variants = {name: given_[name] for name in ("widths", "sizes") if name in given_}
    assert set(spaces_for(variants, found)) == set(spaces_for(
        {name: options[name] for name in ("widths", "sizes") if name in options}, space))


def _space(config: CompressConfig, classes: int, channels: int) -> Space:
    from hwnas.pipeline.task_setup import head_of

    return build(SpaceConfig(config.space.name, 128, channels, classes, config.space.width_mult, config.space.depth,
                             None if config.task == "classify" else 256, head_of(config), config.space.head_width,
                             config.space.output_stride))
