"""Help: of every command, quick, and without heavy imports."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from hwnas import __version__
from hwnas.cli import main
from tests.timing import least

COMMANDS = ("compress", "inspect", "generate", "profile", "search", "train", "export", "verify", "report", "targets",
            "spaces", "doctor", "tables", "bench", "predict", "deploy")
HEAVY = ("numpy", "torch", "onnx", "onnxruntime", "networkx", "pydantic", "yaml", "PIL", "safetensors", "rich")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: hwnas {command}" in shown
    assert "--json" in shown


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_the_root_lists_every_command_with_a_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    for command in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert line.endswith("."), "the line is one whole sentence"
        assert "..." not in line


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hwnas {__version__}\n"


@pytest.mark.parametrize(("calls", "allowed"), [([[]], []), ([[c] for c in COMMANDS], ["pydantic"])])
def test_help_imports_nothing_heavy(calls: list[list[str]], allowed: list[str]) -> None:
    """Of a command's help typer itself brings pydantic, in versions that convert with it."""
    program = (
        "import sys, json, io, contextlib\nfrom hwnas.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    codes = [main([*words, '--help']) for words in {calls!r}]\n"
        f"print(json.dumps([sum(codes), [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    failed, imported = json.loads(done.stdout)
    assert failed == 0
    assert set(imported) <= set(allowed)


def test_help_is_quick() -> None:
    """Processor time, and the least of some, so that a busy machine does not decide; the promise is 0.4 s."""
    def spent() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "from hwnas.cli import main; main(['--help'])"], capture_output=True,
                       timeout=240, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert least(0.4, spent) < 0.4
