"""What may be typed into `compress`: names that complete, and one place where they are defined."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pydantic import ValidationError

import hwnas
from hwnas.data.memory import cache_folder
from hwnas.data.reading import Reading
from hwnas.data.threads import cores
from hwnas.errors import UnknownName, UsageError
from hwnas.pipeline.config.compress_config import FIELDS, FLAT, SECTIONS, CompressConfig
from hwnas.pipeline.config.config_file import read_options
from hwnas.pipeline.config.make_config import go_on_with, make_config
from hwnas.pipeline.config.options import CompressOptions, with_options
from hwnas.pipeline.task_setup import reading_of


def test_the_typed_options_are_the_fields_of_the_config() -> None:
    assert list(CompressOptions.__annotations__) == list(FLAT)


def test_every_field_of_every_section_has_a_flat_name() -> None:
    whole = [("", name) for name in CompressConfig.model_fields if name not in SECTIONS]
    assert sorted(FLAT.values()) == sorted(
        [*whole, *((section, field) for section, of in SECTIONS.items() for field in of.model_fields)])


def test_flat_options_and_sections_are_one_configuration() -> None:
    flat = CompressConfig(data="photos", epochs=3, training="path", widths="0.5", seed=4)
    assert flat == CompressConfig(data={"source": "photos"}, train={"epochs": 3}, seed=4,
                                  search=SECTIONS["search"](schedule="path"), space={"widths": [0.5]})
    assert (flat.data.source, flat.train.epochs, flat.search.schedule) == ("photos", 3, "path")
    assert CompressConfig(**flat.flat()) == flat == CompressConfig.model_validate_json(flat.model_dump_json())
    assert flat.replaced(epochs=5, seed=1).flat() == flat.flat() | {"epochs": 5, "seed": 1}
    with pytest.raises(ValidationError, match="epochs is there twice"):
        CompressConfig(epochs=3, train={"epochs": 4})
    with pytest.raises(ValidationError, match="extra"):
        CompressConfig(train={"epoch": 4})


def test_the_signature_shows_every_option_with_its_default() -> None:
    parameters = inspect.signature(hwnas.compress).parameters
    assert list(parameters) == ["out", "until", "progress", "hook", *FLAT]
    for name, field in FIELDS.items():
        assert parameters[name].default == field.get_default(call_default_factory=True)
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_a_wrong_name_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'epochs'"):
        hwnas.compress(epoch=3)
    with pytest.raises(UsageError, match="epochs"):
        hwnas.compress(epochs="many")


def test_only_what_takes_options_can_show_them() -> None:
    with pytest.raises(AssertionError):
        with_options(lambda a: a)


def test_the_names_of_the_package_complete() -> None:
    assert {"RunFolder", "compress", "load", "pick", "resume", "search", "__version__"} <= set(dir(hwnas))
    assert [name for name in dir(hwnas) if not hasattr(hwnas, name)] == []


def test_several_budgets_are_one_text_however_they_are_given(tmp_path: Path) -> None:
    expected = {"latency": "25%,50%", "flops": "60%"}
    assert CompressConfig(budgets={"latency": ["25%", "50%"], "flops": "60%"}).budgets == expected
    assert CompressConfig(budgets={"latency": ("25%", "50%"), "flops": "60%"}).budgets == expected
    for text in ("latency: [25%, 50%]\nflops: 60%", "latency: 25%,50%\nflops: 60%",
                 "budgets:\n  latency:\n  - 25%\n  - 50%\n  flops: 60%"):
        (tmp_path / "file.yaml").write_text(text)
        assert read_options(tmp_path / "file.yaml") == {"budgets": expected}
    config = CompressConfig(budgets=expected)
    assert CompressConfig.model_validate_json(config.model_dump_json()) == config
    assert len(config.networks) == 2


@pytest.mark.parametrize(("options", "gpu", "folder", "workers"), [
    ({}, False, None, 0), ({"workers": 3}, False, None, 3), ({"image_cache": "here"}, False, Path("here"), 0),
    ({}, True, cache_folder(), cores()), ({"workers": 0, "image_cache": "off"}, True, None, 0),
])
def test_how_images_are_read(options: dict[str, object], gpu: bool, folder: Path | None, workers: int) -> None:
    assert reading_of(make_config(options).data, gpu=gpu) == Reading(folder, workers)


def test_a_cache_is_found_again_from_another_folder() -> None:
    assert make_config({"image_cache": "here"}).anchored().data.image_cache == str(Path("here").absolute())
    for name in ("auto", "off"):
        assert make_config({"image_cache": name}).anchored().data.image_cache == name


def test_a_run_goes_on_with_what_changes_no_result() -> None:
    config = make_config({"epochs": 3})
    assert go_on_with(config, {"workers": None}) is config
    changed = go_on_with(config, {"workers": 2, "image_cache": "off"})
    assert changed.flat() == config.anchored().flat() | {"workers": 2, "image_cache": "off"}
    with pytest.raises(UsageError, match="leave out epochs"):
        go_on_with(config, {"epochs": 4})
    with pytest.raises(UsageError, match=r"--workers: .* 0; got -1"):
        go_on_with(config, {"workers": -1})


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_accelerators(name: str) -> None:
    assert make_config({"accelerator": name}).train.accelerator == name


@pytest.mark.parametrize(("given", "told"), [
    ({"accelerator": "gpu"}, "an accelerator is auto, cpu, cuda, cuda:1 or mps, not 'gpu'"), ({"amp": "fp8"}, "fp8"),
])
def test_what_no_accelerator_is(given: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make_config(given)
