"""predict, export --features and --nms on real small runs, through the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hwnas.cli.app import make_app
from hwnas.errors import InputError, UsageError
from hwnas.imaging.picture import Picture
from hwnas.pipeline import RunFolder
from hwnas.pipeline.exported.image_sources import frames
from hwnas.pipeline.exported.predicting import Predictor, predict_files
from hwnas.runtime import open_runtime
from hwnas.tasks.detect import Detect
from hwnas.tasks.nms import overlaps


def call(*words: object) -> dict[str, object]:
    found = CliRunner().invoke(make_app(), [*map(str, words), "--json"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    told: dict[str, object] = json.loads(found.stdout)
    return told


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def picture(path: Path, shade: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), shade, np.uint8)).save(path)


def test_boxes_of_a_folder_are_written_and_drawn(detector: RunFolder, boxes: Path, tmp_path: Path) -> None:
    told = call("predict", detector.path, boxes / "images", "-o", tmp_path / "out", "--threshold", "0.02")
    found = told["predictions"]
    assert isinstance(found, list)
    assert len(found) == 52
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == found
    for one in found:
        with Image.open(tmp_path / "out" / one["picture"]) as picture:
            assert picture.size == (96, 64)
        for box in one["boxes"]:
            assert box["label"] in ("red", "blue")
            x0, y0, x1, y1 = box["box"]
            assert 0 <= x0 <= x1 <= 96
            assert 0 <= y0 <= y1 <= 64


def test_boxes_are_in_pixels_of_the_original(detector: RunFolder, boxes: Path, tmp_path: Path) -> None:
    """The same picture at three times the size has boxes at the same places, three times as large."""
    with Image.open(boxes / "images" / "val0.png") as image:
        image.resize((288, 192), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    predictor = Predictor.of(detector.path, threshold=0.0)
    small, large = (Detect().boxes(predictor.model, Picture.read(path))
                    for path in (boxes / "images" / "val0.png", tmp_path / "large.png"))
    assert len(small) > 5
    near = [overlaps(box * 3, large.boxes).max() for box in small.boxes[:5]]
    assert min(near) > 0.6


def test_masks_have_the_size_of_the_image(segmenter: RunFolder, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 250, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    for more in ([], ["--tiled"]):
        told = call("predict", segmenter.path / "model.onnx", tmp_path / "wide.png", "-o", tmp_path / "out", *more)
        (one,) = told["predictions"]  # type: ignore[misc]
        assert sum(one["shares"].values()) == pytest.approx(1, abs=0.01)
        with Image.open(tmp_path / "out" / one["mask"]) as mask:
            assert mask.size == (250, 100)
            assert np.asarray(mask).max() < 3


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten frames of a box that wanders, five a second."""
    cv2 = pytest.importorskip("cv2", reason='OpenCV is not installed: pip install "hwnas[video]"')
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (96, 64))
    for i in range(10):
        frame = np.full((64, 96, 3), 110, np.uint8)
        frame[10:40, 4 * i : 4 * i + 30] = (30, 30, 220)
        writer.write(frame)
    writer.release()
    return path


def test_a_video_gives_a_video(detector: RunFolder, film: Path, tmp_path: Path) -> None:
    """As many frames of the same size and rate, and a line of JSON each."""
    cv2 = pytest.importorskip("cv2")
    told = call("predict", detector.path, film, "-o", tmp_path / "out", "--threshold", "0.02")["predictions"]
    assert isinstance(told, list)
    assert [one["file"] for one in told] == [f"film-{i:06d}.png" for i in range(1, 11)]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"film.mp4", "predictions.jsonl"}
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "film.mp4"))
    assert (drawn.get(cv2.CAP_PROP_FRAME_COUNT), drawn.get(cv2.CAP_PROP_FPS)) == (10, 5)
    assert drawn.read()[1].shape == (64, 96, 3)


def test_a_video_that_is_cut_off_leaves_no_part(detector: RunFolder, film: Path, tmp_path: Path) -> None:
    found = predict_files(Predictor.of(detector.path), film, tmp_path / "out")
    assert isinstance(found, Generator)
    next(found)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {".film.mp4", "predictions.jsonl"}
    found.close()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["predictions.jsonl"]
    assert [line["file"] for line in lines_of(tmp_path / "out")] == ["film-000001.png"]


def test_a_segmenter_keeps_the_mask_of_every_frame(segmenter: RunFolder, film: Path, tmp_path: Path) -> None:
    call("predict", segmenter.path, film, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "film.mp4").stat().st_size > 0
    with Image.open(tmp_path / "out" / "film-000010-mask.png") as mask:
        assert mask.size == (96, 64)


def test_what_is_no_video(finished: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(InputError, match=r"text\.mp4 cannot be read as a video"):
        list(predict_files(Predictor.of(finished.path), tmp_path / "text.mp4", None))


@pytest.mark.parametrize("name", ["film.avi", "."])
def test_pictures_never_replace_what_they_show(detector: RunFolder, film: Path, name: str) -> None:
    before = film.read_bytes()
    with pytest.raises(UsageError, match="give -o another folder"):
        list(predict_files(Predictor.of(detector.path), film.parent / name, film.parent))
    assert film.read_bytes() == before
    assert list(film.parent.iterdir()) == [film]


def test_one_bad_file_costs_its_own_answer(segmenter: RunFolder, tmp_path: Path) -> None:
    """The others are predicted, each failure has its line, one word on stderr, exit code 2."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    for name in ("a.png", "B.PNG", "z/c.JPG"):
        picture(photos / name)
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:60])
    (photos / "e.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for name in ("._a.png", ".hidden/d.png"):
        picture(photos / name)
    os.mkfifo(photos / "pipe.png")
    (photos / "loop.png").symlink_to(photos / "loop.png")
    (photos / "notes.txt").write_text("no image")
    found = CliRunner().invoke(make_app(), ["predict", str(segmenter.path), str(photos), "-o", str(out)])
    assert found.exit_code == 2
    assert "3 images, written to" in found.stdout
    assert "left out 2 hidden images, the first: ._a.png" in found.stderr
    assert "error: 4 of 7 files cannot be read as images, the first: bad.png: " in found.stderr
    lines = lines_of(out)
    assert [line["file"] for line in lines] == ["B.PNG", "a.png", "bad.png", "e.png", "loop.png", "pipe.png", "z/c.JPG"]
    told = {line["file"]: line["error"] for line in lines if "error" in line}
    assert set(told) == {"bad.png", "e.png", "loop.png", "pipe.png"}
    assert "no PNG, JPEG" in told["e.png"]
    assert "a pipe or a device" in told["pipe.png"]
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.png")} == {
        "B.png", "B-mask.png", "a.png", "a-mask.png", "z/c.png", "z/c-mask.png"}
    again = CliRunner().invoke(make_app(), ["predict", str(segmenter.path), str(photos), "-o", str(photos / "out")])
    assert again.exit_code == 2
    before = lines_of(photos / "out")
    CliRunner().invoke(make_app(), ["predict", str(segmenter.path), str(photos), "-o", str(photos / "out")])
    assert lines_of(photos / "out") == before  # what was written there is not predicted the second time
    assert [line["file"] for line in before] == [line["file"] for line in lines]


def test_pictures_of_like_names_have_names_of_their_own(segmenter: RunFolder, tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", "A.bmp", "sub/a.jpg", "b.png", "b-mask.png", "c.png/d.png", "c.jpg"]
    for shade, name in enumerate(names):
        picture(tmp_path / "photos" / name, 20 * shade)
    call("predict", segmenter.path, tmp_path / "photos", "-o", tmp_path / "out")
    lines = lines_of(tmp_path / "out")
    assert {line["file"] for line in lines} == set(names)
    written = [line[what] for line in lines for what in ("picture", "mask")]
    assert len({name.lower() for name in written}) == 2 * len(names)
    assert all((tmp_path / "out" / name).is_file() for name in written)


def test_lines_are_there_as_far_as_the_work_got(finished: RunFolder, tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / "photos" / f"{i}.png")

    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_files(Predictor.of(finished.path), tmp_path / "photos", tmp_path / "out", stop))
    assert [line["file"] for line in lines_of(tmp_path / "out")] == ["0.png", "1.png", "2.png"]


def test_nothing_but_bad_files(finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.png").write_text("no image")
    found = CliRunner().invoke(make_app(), ["predict", str(finished.path), str(tmp_path / "photos"), "--json"])
    assert found.exit_code == 2
    assert [list(line) for line in json.loads(found.stdout)["predictions"]] == [["file", "error"]]
    assert "error: 1 of 1 files cannot be read as images: x.png: " in found.stderr


@pytest.mark.parametrize("start", [b"#EXTM3U\nhttp://localhost:1/a.ts\n", b"ffconcat version 1.0\nfile x\n", b""])
def test_a_video_that_leads_elsewhere_is_not_opened(finished: RunFolder, tmp_path: Path, start: bytes) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "film.mp4").write_bytes(start)
    with pytest.raises(InputError, match=r"film\.mp4 cannot be read as a video: it is no MP4"):
        list(predict_files(Predictor.of(finished.path), tmp_path / "film.mp4", None))


def test_tiles_of_one_tile_are_the_whole(segmenter: RunFolder, masks: Path) -> None:
    image = masks / "val" / "0.png"
    whole, tiled = (next(predict_files(Predictor.of(segmenter.path, tiled=t), image, None)).mask for t in (False, True))
    assert whole is not None
    assert np.array_equal(whole, tiled)


def test_classes_with_their_scores(finished: RunFolder, tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), 128, np.uint8)).save(tmp_path / "grey.png")
    told = call("predict", finished.path, tmp_path / "grey.png")
    (one,) = told["predictions"]  # type: ignore[misc]
    assert len(one["classes"]) == 5
    scores = [c["score"] for c in one["classes"]]
    assert scores == sorted(scores, reverse=True)


def test_what_cannot_be_predicted(finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    for path, kind in ((tmp_path / "no.png", InputError), (tmp_path / "empty", UsageError),
                       (tmp_path / "absent.png", UsageError)):
        with pytest.raises(kind, match=str(path.name)):
            list(frames(path))
    with pytest.raises(UsageError, match="--tiled is for a segmenter"):
        Predictor.of(finished.path, tiled=True)


def test_a_detector_can_end_in_boxes(detector: RunFolder, tmp_path: Path) -> None:
    call("export", detector.path, "--nms", "-o", tmp_path / "boxes.onnx")
    session = open_runtime("onnxruntime").load((tmp_path / "boxes.onnx").read_bytes())
    image, boxes, scores, labels = session.run({session.input_name: np.zeros((2, 3, 64, 96), np.float32)})
    assert boxes.shape == (len(image), 4)
    assert len(scores) == len(labels) == len(image)


def test_a_backbone_is_written_for_others(segmenter: RunFolder, tmp_path: Path) -> None:
    told = call("export", segmenter.path, "--features", "-o", tmp_path / "body")
    assert sorted(Path(str(f)).name for f in told["files"]) == [  # type: ignore[union-attr]
        "backbone.json", "backbone.onnx", "backbone.safetensors", "model.py"]


def test_nms_of_a_classifier_is_refused(finished: RunFolder, tmp_path: Path) -> None:
    from hwnas.pipeline.single_stage import export_with_nms

    with pytest.raises(UsageError, match="--nms is for detectors"):
        export_with_nms(finished, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
