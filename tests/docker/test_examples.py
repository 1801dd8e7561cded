"""The compose file and the recipe for CI that users copy: they can be read, and every command in them exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from hwnas.cli.app import make_app
from hwnas.deploy.runner.main import _parser
from hwnas.deploy.server.metrics import Metrics

ROOT = Path(__file__).parents[2]
EDGE, CI = ROOT / "examples" / "edge", ROOT / "examples" / "ci"
FILES = sorted([*EDGE.iterdir(), *CI.iterdir()])


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def compose() -> Any:
    return read(EDGE / "compose.yaml")


def parses(words: list[str]) -> None:
    """Raise unless hwnas takes this command line."""
    from typer.main import get_command

    command: Any = get_command(make_app())
    command.commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_can_be_read_and_names_nobody_s_machine(path: Path) -> None:
    assert isinstance(read(path), dict)
    assert not re.search(r"/home/(?!hwnas/)|/root/|/opt/|10\.\d+\.\d+\.\d+", path.read_text("utf-8"))


def test_the_server_s_command_is_one_that_hwnas_takes(compose: Any) -> None:
    parses(compose["services"]["model"]["command"])


def test_a_wrong_command_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parses(["serve", "bundle", "--hots", "0.0.0.0"])


def test_the_server_is_reached_from_this_machine_alone_and_asks_for_a_token(compose: Any) -> None:
    model = compose["services"]["model"]
    assert all(port.startswith("127.0.0.1:") for service in compose["services"].values() for port in service["ports"])
    assert model["environment"]["HWNAS_TOKEN"].startswith("${HWNAS_TOKEN:?")
    assert model["read_only"]
    assert model["cap_drop"] == ["ALL"]


def test_the_image_is_a_stage_of_the_dockerfile(compose: Any) -> None:
    (stage,) = re.findall(r":-hwnas:([\w-]+)\}", compose["services"]["model"]["image"])
    assert f" AS {stage}\n" in (ROOT / "Dockerfile").read_text("utf-8")


def test_the_stop_grace_is_longer_than_the_server_s() -> None:
    from hwnas.deploy.server.limits import Limits

    grace = read(EDGE / "compose.yaml")["services"]["model"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Limits().stop_s


def test_files_that_are_mounted_are_there(compose: Any) -> None:
    mounts = [volume for service in compose["services"].values() for volume in service["volumes"]]
    files = {mount.split(":")[0] for mount in mounts if mount.startswith("./")} - {"./bundle", "./token"}
    assert files == {"./prometheus.yml", "./alerts.yml"}
    assert all((EDGE / file).is_file() for file in files)


def test_prometheus_asks_where_the_server_answers(compose: Any) -> None:
    (job,) = read(EDGE / "prometheus.yml")["scrape_configs"]
    (name, port) = job["static_configs"][0]["targets"][0].split(":")
    assert name in compose["services"]
    assert compose["services"][name]["ports"][0].endswith(f":{port}")
    assert f":{job['authorization']['credentials_file']}:ro" in "".join(compose["services"]["prometheus"]["volumes"])


def test_alerts_speak_of_figures_that_the_server_gives() -> None:
    metrics = Metrics(("/predict",))
    metrics.request("/predict", 503)
    page = metrics.text(0).decode()
    for rule in read(EDGE / "alerts.yml")["groups"][0]["rules"]:
        for figure, labels in re.findall(r"(hwnas_\w+)(?:\{(.*?)\})?", rule["expr"]):
            assert f"{figure}{{{labels or ''}" in page, figure


def test_the_recipe_runs_what_a_bundle_has() -> None:
    jobs = read(CI / "verify-bundle.yml")["jobs"]
    assert set(jobs) == {"outputs", "device"}
    scripts = "\n".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)
    calls = re.findall(r"(?:bundle/bundle\.py|--rm hwnas-bundle) (.*?)(?:\||>|$)", scripts, re.MULTILINE)
    assert len(calls) >= 2
    for call in calls:
        assert _parser().parse_args(shlex.split(call)).command is not None
    assert {"runtime", "difference", "limit"} <= set(re.findall(r"found\['(\w+)'\]", scripts))


def test_actions_are_pinned_to_a_version() -> None:
    used = re.findall(r"uses: (\S+)", (CI / "verify-bundle.yml").read_text("utf-8"))
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name) for name in used)
