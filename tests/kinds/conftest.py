"""The example package, installed for the tests of this folder as pip would install it."""

from __future__ import annotations

import configparser
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "example_kinds"


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Its entry points are known here, and in processes with the environment that this gives."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    folder = tmp_path_factory.mktemp("site-packages")
    info = folder / f"example_kinds-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = configparser.ConfigParser()
    points.read_dict(project["entry-points"])
    with (info / "entry_points.txt").open("w") as file:
        points.write(file)
    with pytest.MonkeyPatch.context() as patch:
        for path in (folder, PACKAGE):
            patch.syspath_prepend(str(path))
        yield {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, folder, PACKAGE)))}
