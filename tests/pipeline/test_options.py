"""What may be typed into `compress`: names that complete, and one place where they are defined."""

from __future__ import annotations

import inspect

import pytest

import hwnas
from hwnas.errors import UnknownName, UsageError
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.options import CompressOptions, with_options


def test_the_typed_options_are_the_fields_of_the_config() -> None:
    assert list(CompressOptions.__annotations__) == list(CompressConfig.model_fields)


def test_the_signature_shows_every_option_with_its_default() -> None:
    parameters = inspect.signature(hwnas.compress).parameters
    assert list(parameters) == ["out", "until", "progress", "hook", *CompressConfig.model_fields]
    for name, field in CompressConfig.model_fields.items():
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
