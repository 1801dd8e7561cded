"""What became of a user's own network: predicted, deployed and served with the user's own preprocessing."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from hwnas.cli import main
from hwnas.deploy.bundle_writer import write_bundle
from hwnas.deploy.manifest import LatencyPromise
from hwnas.deploy.reference import reference_model
from hwnas.deploy.runner.predicting import load_model
from hwnas.deploy.server.answering import answer, loaded
from hwnas.deploy.server.job import Job
from hwnas.errors import InputError, UsageError
from hwnas.export.metadata import read_metadata
from hwnas.export.own_samples import OwnSamples
from hwnas.files import sha256
from hwnas.imaging import InputContract, Letterbox
from hwnas.pipeline.exported.image_sources import Frame, frames
from hwnas.pipeline.exported.predicting import Predictor, predict_files
from hwnas.surgery.examples import unlabelled
from hwnas.target import Target
from tests.deploy.recorder import Recorder
from tests.trained_network import Builder, shipped, small_network

SIZE = (16, 24)
EASY = LatencyPromise({"median_ms": 1e3, "p10_ms": 1e3, "p90_ms": 1e3, "runs": 1})
CONTRACTS = {
    "rgb": InputContract((123.7, 116.3, 103.5), (58.4, 57.1, 57.4), crop=0.875),
    "bgr, channels last": InputContract((103.5, 116.3, 123.7), (57.4, 57.1, 58.4), "bgr", "nhwc", "stretch"),
    "grey": InputContract((127.0,), (128.0,), "grey", fit="crop"),
    "grey, channels last, whole": InputContract((0.0,), (1.0,), "grey", "nhwc", "letterbox"),
    "raw pixels, whole": InputContract((0.0,), (1.0,), fit="letterbox"),
}


def network(contract: InputContract, kind: str) -> onnx.ModelProto:
    """Of one kind: classes, probabilities, two outputs, a mask, maps."""
    h, w = SIZE
    c, last = contract.channels, contract.layout == "nhwc"
    b = Builder((1, h, w, c) if last else (1, c, h, w))
    x = b.node("Transpose", "image", perm=[0, 3, 1, 2]) if last else "image"
    x = b.node("Mul", x, b.constant(np.array(0.01, np.float32)))
    x = b.node("Relu", b.conv(x, c, 8))
    if kind == "mask":
        return b.model(b.conv(x, 8, 3))
    if kind == "maps":
        return b.model(b.conv(x, 8, 3, stride=2))
    y = b.classes(x, 8, 5)
    if kind == "probabilities":
        return b.model(b.node("Softmax", y))
    return b.model(y, b.conv(x, 8, 4, stride=2)) if kind == "two outputs" else b.model(y)


def made(folder: Path, name: str, kind: str, **words: Any) -> Path:
    contract = CONTRACTS[name]
    return shipped(folder, network(contract, kind), contract, SIZE, **words)


def bundle_of(model: Path, out: Path, **words: Any) -> Path:
    metadata = read_metadata(model.read_bytes())
    target = Target.model_validate(metadata["target"])
    samples = OwnSamples.load(model.parent / "samples.safetensors")
    return write_bundle(out, model.read_bytes(), samples, target, **{"promise": EASY, **words}).path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight images of several shapes and containers."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for i, (height, width, end) in enumerate([(50, 70, "png"), (61, 40, "png"), (200, 311, "jpg"), (16, 24, "png"),
                                              (400, 90, "jpg"), (30, 30, "bmp"), (17, 19, "webp"), (90, 91, "png")]):
        small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        (image.convert("L") if i == 7 else image).save(folder / f"{i}.{end}")
    return folder


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_path_feeds_what_the_run_judged_with(name: str, photos: Path, tmp_path: Path) -> None:
    """To the last bit: the examples of a run, `hwnas predict`, a bundle and the server."""
    contract = CONTRACTS[name]
    model = made(tmp_path / "run", name, "classes")
    bundle = bundle_of(model, tmp_path / "bundle")
    parts = unlabelled(photos, contract, SIZE)
    judged = {int(i): x for part in parts for i, x in zip(part.indices, part.inputs(slice(None)), strict=True)}
    predictor, runner = Predictor.of(model), load_model(bundle)
    recorder: Any = Recorder(predictor.session)
    predictor = dataclasses.replace(predictor, session=recorder)
    runner.loaded = dataclasses.replace(runner.loaded, session=recorder)
    server = dataclasses.replace(loaded(bundle, {}, 0.3), session=recorder)
    assert len(judged) == 8
    for i, path in enumerate(sorted(photos.iterdir())):
        (frame,) = frames(path)
        assert isinstance(frame, Frame)
        predictor.predict(frame)
        assert np.array_equal(recorder.seen, judged[i][None]), path.name
        runner.predict(path)
        assert np.array_equal(recorder.seen, judged[i][None]), path.name
        if path.suffix != ".bmp":
            found = answer(server, Job(), path.read_bytes())
            assert found.status == 200
            assert np.array_equal(recorder.seen, judged[i][None]), path.name


@pytest.mark.parametrize("name", sorted(CONTRACTS))
@pytest.mark.parametrize("kind", ["classes", "two outputs"])
def test_a_bundle_checks_itself_and_answers_as_predict_does(
        name: str, kind: str, photos: Path, tmp_path: Path,
        on_device: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    names = ["cat", "dog", "eel", "fox", "gnu"]
    model = made(tmp_path / "run", name, kind, classes=names)
    bundle = bundle_of(model, tmp_path / "bundle")
    facts = json.loads((bundle / "model.json").read_text())
    assert (facts["task"], facts["classes"]) == ("classify", names)
    assert facts["preprocessing"]["mean"] == list(CONTRACTS[name].mean)
    done = on_device(bundle, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good" in done.stdout
    done = on_device(bundle, "predict", photos, "-o", tmp_path / "told")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    here = [found.facts for found in predict_files(Predictor.of(model), photos, tmp_path / "here")]
    assert told == here
    assert len(told) == 8
    assert {c["label"] for c in told[0]["classes"]} == set(names)
    if kind == "two outputs":
        assert [output["shape"] for output in told[0]["outputs"]] == [[1, 4, 8, 12]]
        for folder in ("told", "here"):
            with np.load(tmp_path / folder / told[0]["arrays"]) as arrays:
                assert sorted(a.shape for a in arrays.values()) == [(1, 4, 8, 12), (1, 5)]


def test_in_integers(tmp_path: Path, on_device: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    model = made(tmp_path / "run", "rgb", "classes", precision="int8")
    bundle = bundle_of(model, tmp_path / "bundle")
    assert json.loads((bundle / "model.json").read_text())["parity"]["rule"] == "rms"
    done = on_device(bundle, "verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["difference"] == 0


def test_probabilities_are_told_as_they_are(photos: Path, tmp_path: Path) -> None:
    model = made(tmp_path / "run", "rgb", "probabilities")
    predictor = Predictor.of(model)
    (frame,) = frames(photos / "0.png")
    assert isinstance(frame, Frame)
    outputs = predictor.model.run(predictor.interface.fitted(predictor.model, frame.image)[None])
    told = predictor.predict(frame).facts["classes"]
    assert [c["score"] for c in told] == pytest.approx(sorted(outputs[0][0].tolist(), reverse=True), abs=1e-4)
    assert sum(c["score"] for c in told) == pytest.approx(1, abs=1e-3)
    assert {c["label"] for c in told} == set("01234")  # the images had no names


def test_a_mask_is_told_as_of_a_segmenter(photos: Path, tmp_path: Path,
                                          on_device: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    model = made(tmp_path / "run", "raw pixels, whole", "mask")
    bundle = bundle_of(model, tmp_path / "bundle")
    assert on_device(bundle, "verify").returncode == 0
    done = on_device(bundle, "predict", photos / "0.png", "-o", tmp_path / "out")
    told = json.loads(done.stdout)
    assert sum(told["shares"].values()) == pytest.approx(1, abs=1e-3)
    predictor = Predictor.of(model)
    (frame,) = frames(photos / "0.png")
    assert isinstance(frame, Frame)
    found = predictor.predict(frame)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / told["mask"])), found.mask)
    outputs = predictor.model.run(frame.image.letterboxed(Letterbox.fit(*frame.image.size, SIZE))[None])
    box = Letterbox.fit(*frame.image.size, SIZE)
    assert np.array_equal(found.mask, box.mask_to_original(outputs[0][0].argmax(0).astype(np.uint8)))
    assert found.picture is not None
    assert found.picture.shape == (50, 70, 3)


def test_maps_that_nobody_can_name_are_given_as_they_are(photos: Path, tmp_path: Path,
                                                         on_device: Callable[..., subprocess.CompletedProcess[str]],
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    model = made(tmp_path / "run", "rgb", "maps")
    assert main(["predict", str(model), str(photos / "0.png"), "-o", str(tmp_path / "here")]) == 0
    assert "1x3x8x12: " in capsys.readouterr().out
    with np.load(tmp_path / "here" / "0-outputs.npz") as arrays:
        (mine,) = arrays.values()
    bundle = bundle_of(model, tmp_path / "bundle")
    assert "A network to give its outputs" in (bundle / "README.md").read_text()
    assert on_device(bundle, "verify").returncode == 0
    done = on_device(bundle, "predict", photos / "0.png", "-o", tmp_path / "there")
    told = json.loads(done.stdout)
    assert np.array_equal(np.float32(told["outputs"][0]["values"]), mine)
    with np.load(tmp_path / "there" / told["arrays"]) as arrays:
        assert np.array_equal(*arrays.values(), mine)
    found = answer(loaded(bundle, {}, 0.3), Job(), (photos / "0.png").read_bytes())
    assert json.loads(found.content)["outputs"][0]["shape"] == [1, 3, 8, 12]


def test_what_is_refused(tmp_path: Path) -> None:
    model = made(tmp_path / "run", "rgb", "classes")
    with pytest.raises(UsageError, match="is one to classify"):
        Predictor.of(model, tiled=True)
    bundle = bundle_of(model, tmp_path / "bundle")
    facts = json.loads((bundle / "model.json").read_text())
    for key, value, words in (("std", [0.0], "std must be above 0"), ("layout", "CHWN", "layout"),
                              ("colour", "grey", "mean needs one number or 1"), ("fit", "tile", "fit must be one of")):
        broken = shutil.copytree(bundle, tmp_path / f"broken-{key}")
        (broken / "model.json").write_text(json.dumps({**facts, "preprocessing": {
            **facts["preprocessing"], key: value}}))
        lines = (broken / "SHA256SUMS").read_text().splitlines()
        (broken / "SHA256SUMS").write_text("".join(
            f"{sha256(broken / 'model.json')}  model.json\n" if line.endswith("  model.json") else f"{line}\n"
            for line in lines))
        with pytest.raises(InputError, match=words):
            load_model(broken)


def test_the_reference_of_a_bundle_reads_images_as_large(tmp_path: Path) -> None:
    model = shipped(tmp_path / "run", small_network(), InputContract((0.0,), (255.0,), "grey"), (16, 16))
    metadata = read_metadata(model.read_bytes())
    proto = onnx.load_model_from_string(reference_model(metadata, Target.model_validate(metadata["target"])))
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert shape[1:] == [1, 32, 32]
