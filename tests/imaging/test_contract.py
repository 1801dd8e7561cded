"""The input contract: numbers, colours, layouts, and what is refused with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.imaging import InputContract
from hwnas.surgery.contract import read_contract
from tests.mutations import damaged_bytes, fuzzed, judged, mutated

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
FULL = {"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4], "colour": "bgr", "layout": "nhwc", "fit": "letterbox",
        "crop": 0.875}


def test_a_pixel_less_the_mean_over_the_deviation() -> None:
    contract = InputContract((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))
    x = contract.apply(PIXELS)
    assert (x.shape, x.dtype, x.flags.c_contiguous) == ((2, 3, 4, 5), np.float32, True)
    for n, c, i, j in np.ndindex(*x.shape):
        want = (float(PIXELS[n, i, j, c]) - contract.mean[c]) / contract.std[c]
        assert x[n, c, i, j] == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_one_number_for_all_channels() -> None:
    assert np.array_equal(InputContract((127,), (128,)).apply(PIXELS),
                          InputContract((127, 127, 127), (128, 128, 128)).apply(PIXELS))


def test_layouts_and_colours() -> None:
    rgb = InputContract((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)).apply(PIXELS)
    assert np.array_equal(InputContract((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), layout="nhwc").apply(PIXELS),
                          rgb.transpose(0, 2, 3, 1))
    # Mean and deviation are in the order of the network's channels.
    assert np.array_equal(InputContract((3.0, 2.0, 1.0), (6.0, 5.0, 4.0), colour="bgr").apply(PIXELS), rgb[:, ::-1])
    grey = InputContract((0.0,), (255.0,), colour="grey").apply(PIXELS)
    assert grey.shape == (2, 1, 4, 5)
    weighed = np.rint(0.299 * PIXELS[..., 0] + 0.587 * PIXELS[..., 1] + 0.114 * PIXELS[..., 2])
    assert np.abs(grey[:, 0] * 255 - weighed).max() <= 1.001
    single = PIXELS[..., :1]
    as_grey, as_rgb = (InputContract((0.0,), (255.0,), colour=c).apply(single) for c in ("grey", "rgb"))
    assert np.array_equal(as_grey[:, 0], single[..., 0] / np.float32(255))
    assert np.array_equal(as_rgb, np.repeat(as_grey, 3, 1))


def test_pixels_stay_as_they_are() -> None:
    before = PIXELS.copy()
    InputContract((127,), (128,), colour="bgr", layout="nhwc").apply(PIXELS)
    assert np.array_equal(PIXELS, before)


def test_a_network_that_scales_pixels_itself() -> None:
    """It is given 0..255 as they are."""
    assert InputContract((0,), (1,)).apply(PIXELS).max() == PIXELS.max()


@pytest.mark.parametrize("words, rule", [
    ({"std": (0.0,)}, "std must be above 0 and at least 1e-06, not 0: it divides the pixels"),
    ({"std": (58.0, -1.0, 58.0)}, "std must be above 0 and at least 1e-06, not -1"),
    ({"mean": (1.0, 2.0)}, "mean needs one number or 3, one a channel of rgb; got 2"),
    ({"std": ()}, "std needs one number or 3"),
    ({"colour": "grey", "mean": (1.0, 2.0, 3.0)}, "mean needs one number or 1, one a channel of grey; got 3"),
    ({"colour": "cmyk"}, "colour must be one of rgb, bgr, grey, not 'cmyk'"),
    ({"layout": "chw"}, "layout must be one of nchw, nhwc, not 'chw'"),
    ({"fit": "tile"}, "fit must be one of crop, letterbox, stretch, not 'tile'"),
    ({"crop": 0.0}, "crop must be above 0 and at most 1, not 0"),
    ({"crop": 1.5}, "crop must be above 0 and at most 1, not 1.5"),
    ({"crop": float("nan")}, "crop must be above 0 and at most 1, not nan"),
    ({"mean": (float("nan"),)}, r"mean must be a number of at most 1e\+06, not nan: it is of pixels"),
    ({"std": (float("inf"),)}, r"std must be a number of at most 1e\+06, not inf"),
    ({"std": (1e-300,)}, "std must be above 0 and at least 1e-06, not 1e-300"),
    ({"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
     r"mean 0.485 and std 0.229 are of pixels in 0..1; here pixels are 0..255: give mean 123.675 and std 58.395"),
    ({"mean": (0.5,), "std": (0.5,)}, "give mean 127.5 and std 127.5"),
])
def test_numbers_that_cannot_be(words: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        InputContract(**{"mean": (127.0,), "std": (128.0,), **words})


@pytest.mark.parametrize("words, shape, size", [
    ({}, (1, 3, 224, 192), (224, 192)), ({"layout": "nhwc"}, (1, 224, 192, 3), (224, 192)),
    ({"colour": "grey"}, (1, 1, 28, 30), (28, 30)),
])
def test_the_size_of_an_input(words: dict[str, str], shape: tuple[int, ...], size: tuple[int, int]) -> None:
    assert InputContract((127,), (128,), **words).size_of(shape) == size


@pytest.mark.parametrize("words, shape, rule", [
    ({}, (1, 3, 224), r"3 dimensions \(1, 3, 224\), an image in nchw has 4"),
    ({}, (1, 224, 224, 3), "224 channels in nchw, and rgb has 3: give --layout nhwc"),
    ({"layout": "nhwc"}, (1, 3, 32, 32), "32 channels in nhwc, and rgb has 3: give --layout nchw"),
    ({}, (1, 1, 28, 28), "1 channels in nchw, and rgb has 3: give --colour grey"),
    ({"colour": "grey"}, (1, 3, 28, 28), "3 channels in nchw, and grey has 1: give --colour rgb"),
])
def test_shapes_that_are_no_image_of_these_channels(words: dict[str, str], shape: tuple[int, ...], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        InputContract((127,), (128,), **words).size_of(shape)


def test_yaml_and_back(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(yaml.safe_dump(FULL), encoding="utf-8")
    contract = read_contract(path)
    assert contract == InputContract((123.7, 116.3, 103.5), (58.4, 57.1, 57.4), "bgr", "nhwc", "letterbox", 0.875)
    assert contract.to_json() == FULL
    assert InputContract.of(contract.to_json()) == contract
    path.write_text("mean: 127\nstd: 128\n", encoding="utf-8")
    assert read_contract(path) == InputContract((127,), (128,))


@pytest.mark.parametrize("text, rule", [
    ("std: 1", "mean"), ("mean: 127\nstd: 128\ncolor: bgr", "color"), ("mean: [1, 2, 3, 4, 5]\nstd: 5", "mean"),
    ("mean: '127'\nstd: 128", "mean"), ("mean: 127\nstd: 128\ncrop: 0", "crop"), ("[1, 2]", "contract"),
    ("", "contract"),
    ("mean: 127\nstd: 128\nlayout: hwc", "layout"), ("mean: .nan\nstd: 128", "contract"),
])
def test_files_of_another_kind_are_refused_by_name(text: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rule):
        read_contract(path)
    with pytest.raises(InputError, match=r"no\.yaml"):
        read_contract(tmp_path / "no.yaml")


@fuzzed
@given(data=st.data())
def test_hostile_files_are_contracts_or_refused_in_a_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
                                                          ) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.yaml"
    text = yaml.safe_dump(data.draw(mutated(FULL)), allow_unicode=True).encode(errors="replace")
    path.write_bytes(data.draw(damaged_bytes(text)) if data.draw(st.integers(0, 4)) == 0 else text)
    contract = judged(lambda: read_contract(path))
    if contract is not None:
        pixels = PIXELS if contract.channels == 3 else PIXELS[..., :1]
        assert np.isfinite(contract.apply(pixels)).all()
        assert InputContract.of(contract.to_json()) == contract
