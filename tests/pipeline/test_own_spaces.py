"""A space of a user's own from file to bundle, and a run that outlives the file and the module."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hwnas.cli import main
from hwnas.deploy import deploy_run
from hwnas.documents import read_json
from hwnas.errors import HwnasError, UsageError
from hwnas.export import read_metadata
from hwnas.files import write_json
from hwnas.pipeline import RunFolder, compress, make_config, pick, resume, retarget
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.plan import plan
from hwnas.pipeline.single_stage import space_for
from hwnas.pipeline.task_setup import space_of
from hwnas.space import Architecture, space_from_json
from tests.space.own_spaces import TWO_ROADS, two_roads


@pytest.fixture(scope="module")
def options(small: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in small.items() if key != "depth"} | {
        "target": "raspberry-pi-4", "epochs": 2, "budgets": {"flops": "80%", "latency": "90%"}}


@pytest.fixture(scope="module")
def orphan(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run whose space file is gone."""
    folder, threads = tmp_path_factory.mktemp("own"), torch.get_num_threads()
    file = folder / "my_space.json"
    write_json(file, TWO_ROADS)
    run = compress(folder / "run", space=str(file), **options)
    file.unlink()
    yield run
    torch.set_num_threads(threads)


def test_a_run_holds_its_space(orphan: RunFolder) -> None:
    space = RunFolder.open(orphan.path).space
    assert space == space_from_json(TWO_ROADS)
    assert space_from_json(read_json(orphan.path / "space.json")) == space
    assert "space.json" in orphan.state.stages["data"].files
    arch = Architecture.from_json(read_json(orphan.path / "architecture.json"))
    assert arch.space == space
    assert arch.flops <= 0.8 * space.reference.flops
    stored = read_metadata((orphan.path / "model.onnx").read_bytes())
    assert Architecture.from_json(stored["architecture"]) == arch


def test_a_run_answers_without_the_file(orphan: RunFolder, tmp_path: Path) -> None:
    answer, = pick(orphan.path, {"flops": "60%"})
    assert answer.architecture.flops <= 0.6 * orphan.space.reference.flops
    assert main(["generate", str(orphan.path), "--flops", "50%", "--json"]) == 0
    assert resume(orphan.path).path == orphan.path
    other = retarget(orphan.path, tmp_path / "other", {"flops": "60%"})
    assert other.space == orphan.space
    bundle = deploy_run(other, tmp_path / "bundle")
    assert (bundle.path / "model.json").is_file()


def test_a_changed_file_does_not_change_a_run(options: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "space.json"
    write_json(file, TWO_ROADS)
    run = compress(tmp_path / "run", space=str(file), until="data", **options)
    write_json(file, two_roads(reference=[0, 0, 0]))
    assert resume(run.path, until="profile").space.reference == space_from_json(TWO_ROADS).reference
    edited = json.loads((run.path / "space.json").read_text())
    edited["name"] = "other"
    write_json(run.path / "space.json", edited)
    with pytest.raises(HwnasError, match=r"space\.json"):
        resume(run.path, until="profile")


def test_a_module_may_be_gone(options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_space_module.py").write_text("from tests.space.own_spaces import wide_kernels as build\n")
    monkeypatch.chdir(tmp_path)
    name = "my_space_module:build"
    run = compress("run", space=name, depth=2, until="data", **options)
    assert run.space.sizes == (2,) * 5
    (tmp_path / "my_space_module.py").unlink()
    del sys.modules["my_space_module"]
    assert resume(run.path, until="profile").space == run.space
    with pytest.raises(UsageError, match="does not import"):
        make_config({"space": name})


def test_a_space_names_the_reference_of_a_run(options: dict[str, Any], tmp_path: Path) -> None:
    write_json(tmp_path / "space.json", two_roads(reference=[0, 0, 0]))
    config = make_config({**options, "space": str(tmp_path / "space.json"), "budgets": {"flops": "100%"}})
    planned = plan(config, tmp_path / "run")
    wanted = space_from_json(two_roads(reference=[0, 0, 0])).reference
    assert planned.first.reference["flops"] == wanted.flops < planned.space.largest().flops


def test_images_come_in_the_size_of_the_file_and_classes_as_the_data_have_them(
        options: dict[str, Any], tmp_path: Path) -> None:
    five = json.loads(json.dumps(two_roads(classes=5)).replace("32-10", "32-5"))
    write_json(tmp_path / "space.json", five)
    config = make_config({**options, "space": str(tmp_path / "space.json")})
    planned = plan(config, tmp_path / "run")
    assert planned.space.input_shape == (1, 16, 16)
    assert planned.space.config.classes == 10
    assert "space two-roads was written for 5 classes and has 10 here" in planned.first.warnings
    larger = plan(config.replaced(imgsz=24), tmp_path / "run")
    assert larger.space.input_shape == (1, 24, 24)
    assert any("written for images of 16 x 16 and takes 24 x 24" in warning for warning in larger.first.warnings)


@pytest.mark.parametrize(("changes", "said"), [
    ({"depth": 2}, "--depth is for spaces that a builder makes"),
    ({"task": "detect"}, "holds a space of a classifier, and head fcos is asked for"),
    ({"width_mult": 0.3}, "other choices than the reference"),
])
def test_what_does_not_fit_a_file_is_refused(options: dict[str, Any], tmp_path: Path, changes: dict[str, Any],
                                             said: str) -> None:
    write_json(tmp_path / "space.json", TWO_ROADS)
    with pytest.raises(HwnasError, match=said):
        space_of(make_config({**options, "space": str(tmp_path / "space.json"), **changes}), (1, 16, 16), 10)


def test_grey_images_for_an_rgb_space_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    rgb = json.loads(json.dumps(two_roads(input=[3, 16, 16])).replace("1-16 16x16", "3-16 16x16"))
    write_json(tmp_path / "space.json", rgb)
    with pytest.raises(UsageError, match=r"takes images of 3 channels, and these have 1: .* --channels 1"):
        plan(make_config({**options, "space": str(tmp_path / "space.json")}), tmp_path / "run")


def test_the_command_that_measures_names_the_file(options: dict[str, Any], tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "space.json", TWO_ROADS)
    config = make_config({**options, "space": "space.json", "width_mult": 2.0})
    planned = plan(config.anchored(), tmp_path / "run")
    words = profile_command(planned.config, planned.space, planned.first.target).split()
    flags = dict(zip(words[2::2], words[3::2], strict=False))
    assert flags["--space"] == "space.json"
    again = space_for({"space": flags["--space"], "imgsz": int(flags["--imgsz"]),
                       "width_mult": float(flags["--width-mult"])}, channels=int(flags["--channels"]),
                      classes=int(flags["--classes"]))
    assert again.fingerprint == planned.space.fingerprint
