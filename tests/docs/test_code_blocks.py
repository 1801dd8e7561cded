"""Every fenced block of README.md and docs/ is run, or held against the program, or says that it is neither.

| language   | what happens                                                                                           |
|------------|--------------------------------------------------------------------------------------------------------|
| python     | run in the folder of the page, in order; a first line `# name.py` names its file there                 |
| console    | every `$ ` line is run there; its exit code is 0, or N where it ends in `# exit code N`; what it prints |
|            | is what stands below it, if anything does; `...` stands for anything, blanks are not counted            |
| yaml, toml | read; a first line `# name.yaml` names its file; entry points are installed                            |
| json       | read; title="name.json" behind the word names its file                                                 |
| bash       | not run; every command, flag, value of a flag, script, extra and path of it must exist                 |
| text       | neither run nor checked                                                                                |

Any other language is an error, and so is none. Commands of hwnas between backticks are held against the program, too.
Every page runs in an empty folder of its own, or in one with `runs/mine` or `runs/cells` where it names them; README's
first Python block makes `runs/mine`, with fewer images and epochs.
"""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KNOWN = {"python", "console", "yaml", "toml", "json", "bash", "text"}
# written without a language before there was this rule; each is a transcript or a drawing, which is `text`
STANDARD = {"cd", "export", ".", "ls", "cat", "sha256sum", "mkdir", "cp"}
_SPAN = re.compile(r"(?<!`)`(hwnas [a-z][^`\n]*)`(?!`)")


def test_every_block_says_what_it_is(block: Any) -> None:
    assert block.language in KNOWN, f"{block}: mark it as one of {', '.join(sorted(KNOWN))}"


def test_the_commands_exist(page: str) -> None:
    found = [(line, command, whole) for line, text, whole in spoken(page) for command in commands(text)]
    wrong = [f"{page}:{line}: {' '.join(words)}: {why}" for line, words, whole in found if (why := fault(words, whole))]
    assert not wrong, "\n".join(wrong)


def test_the_page_runs(begun: Any, page_blocks: Sequence[Any]) -> None:
    for block in page_blocks:
        begun.run(block)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_pictures_are_drawn(prepared: Callable[[str], Path], workspace: Any) -> None:
    pytest.importorskip("matplotlib")
    done = workspace.call(f'python "{ROOT}/docs/_pictures/draw.py" "{prepared("runs/mine")}/runs/mine" .')
    assert done.returncode == 0, done.stdout
    texts = {path.stem: path.read_text("utf-8") for path in workspace.folder.glob("*.svg")}
    assert {name for name, text in texts.items() if "</svg>" in text} == {"tables", "migo", "dpng"}
    assert {path.stem for path in (ROOT / "docs" / "pictures").glob("*.svg")} == set(texts)


@pytest.mark.parametrize("line", [
    "hwnas compres", "hwnas compress --latancy 8ms", "hwnas compress --latency 8", "hwnas generate",
    "hwnas agent exprt x", "hwnas profile --target jetsn", "hwnas profile --space moble",
    "hwnas generate RUN --top none", "hwnas tables nothing",
    "python benchmarks/nothing.py", "python benchmarks/dpng.py --nothing", 'pip install "hwnas[nothing]"', "frobnicate",
    "curl http://127.0.0.1:8000/prediction", "docker build --target nothing .",
    "docker run hwnas:x86-onnxruntime verfy /bundle",
])
def test_what_is_wrong_is_found(line: str) -> None:
    (words,) = commands(line)
    assert fault(words)


@pytest.mark.parametrize("line", [
    "hwnas compress --latency 8ms --flops 60% && hwnas tables", "hwnas --version", "hwnas tables --tables DIR",
    "hwnas agent export DIR --target jetson \\\n    --space mobile   # carried there",
    'pip install -e ".[dev]" "torch==2"',
    "curl -F image=@x.jpg 'http://127.0.0.1:8000/predict?picture=1' -o y.png", "python3 bundle.py verify --json",
])
def test_what_is_right_passes(line: str) -> None:
    assert [fault(words) for words in commands(line)] in ([None], [None, None])


@pytest.mark.parametrize("language, text", [
    ("console", "$ echo 1\n2\n"), ("console", "$ false\n"), ("console", "$ true # exit code 3\n"),
    ("console", "$ true\n$ echo 1\n...2\n"), ("python", "raise SystemExit(1)\n"), ("python", "import hwnas.nothing\n"),
    ("yaml", "# x.yaml\na: [\n"), ("toml", "[\n"), ("json", "{"),
])
def test_what_fails_is_found(workspace: Any, language: str, text: str, block_of: Callable[[str, str], Any]) -> None:
    with pytest.raises((AssertionError, ValueError, yaml.YAMLError)):
        workspace.run(block_of(language, text))


@pytest.mark.parametrize("language, text", [
    ("console", "$ echo a   b; echo c\na b\n...\n$ false # exit code 1\n$ echo 1 \\\n    2\n1 2\n"),
    ("python", "# x/y.py\nfrom pathlib import Path\nassert Path('x/y.py').is_file()\n"), ("toml", "a = 1\n"),
])
def test_what_works_passes(workspace: Any, language: str, text: str, block_of: Callable[[str, str], Any]) -> None:
    workspace.run(block_of(language, text))


def spoken(page: str) -> Iterator[tuple[int, str, bool]]:
    """Lines of shell with their numbers: bash blocks, and commands between backticks, which may be parts of one."""
    outside, text = True, (ROOT / page).read_text("utf-8")
    lines, shell = text.splitlines(), False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            shell, outside = outside and line.strip() == "```bash", not outside
        elif shell:
            held = number > 1 and lines[number - 2].endswith("\\")
            if not held:
                yield number, _joined(lines[number - 1 :]), True
        elif outside:
            for span in _SPAN.findall(line):
                if "..." not in span and "COMMAND" not in span:
                    yield number, span, False


def _joined(lines: Sequence[str]) -> str:
    """A line of shell with those that continue it."""
    count = next(i for i, line in enumerate(lines, 1) if not line.endswith("\\"))
    return "\n".join(lines[:count])


def commands(text: str) -> list[list[str]]:
    """The commands of a line, as words; comments left out."""
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    found: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "|", "&", ";"):
            found.append([])
        else:
            found[-1].append(word)
    return [command for command in found if command]


def fault(words: Sequence[str], whole: bool = True) -> str | None:
    """What is wrong with a command; None if nothing is.

    Args:
        whole: whether it must have all its arguments.
    """
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    program, *rest = words
    if program in STANDARD:
        return None
    if program == "hwnas":
        return _hwnas(rest, whole)
    check = CHECKS.get(Path(program).name)
    return check(rest) if check else "neither run nor checked: mark the block as text"


def _hwnas(words: list[str], whole: bool) -> str | None:
    from typer.main import get_command

    from hwnas.cli.app import make_app
    from hwnas.errors import HwnasError

    command: Any = get_command(make_app())
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    try:
        context = command.make_context(command.name or "hwnas", list(words))
        _values(context.params, command.name in ("compress", "train", "generate"))
    except HwnasError as err:
        return str(err)
    except Exception as err:  # typer's errors share no public class
        fine = ("Exit", "NoArgsIsHelpError") if whole else ("Exit", "NoArgsIsHelpError", "MissingParameter")
        return None if type(err).__name__ in fine else f"{type(err).__name__} {getattr(err, 'message', err)}"
    return None


def _values(params: dict[str, Any], several: bool) -> None:
    """Raise on a budget, a target or a space that is none; `several` where lists of the first two may be given."""
    from hwnas.pipeline.config.budget import parse_all, parse_lists, target_names
    from hwnas.space.find import check_name, is_file, is_function
    from hwnas.target import load

    budgets = {name: params.get(name) for name in ("latency", "flops", "params", "memory")}
    targets, space = target_names(params.get("target") or ""), params.get("space")
    if several:
        parse_lists({name: text for name, text in budgets.items() if text is not None}, targets)
    else:
        parse_all(budgets)
    for target in targets:
        if target and not target.endswith(".yaml") and not target.isupper():
            load(target)
    if space and not is_file(space) and not is_function(space):  # those that a page wrote run in its blocks
        check_name(space)


def _pip(words: list[str]) -> str | None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [found[1] for word in words if (found := re.match(r"(?:hwnas|\.)\[([\w,]+)\]", word))]
    named = {extra for group in groups for extra in group.split(",")}
    unknown = named - set(project["optional-dependencies"])
    return f"no extra {', '.join(sorted(unknown))}" if unknown else None


def _python(words: list[str]) -> str | None:
    script, *flags = words
    if script == "-m":
        return None
    places = [ROOT / script, ROOT / "hwnas" / "deploy" / "runner" / script.replace("bundle.py", "main.py")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None if script == "hwnas-agent.pyz" else f"no script {script}"
    text = path.read_text("utf-8")
    unknown = [flag for flag in flags if flag.startswith("--") and flag not in text]
    return f"{script} has no {', '.join(unknown)}" if unknown else None


def _curl(words: list[str]) -> str | None:
    text = (ROOT / "hwnas" / "deploy" / "server" / "app.py").read_text("utf-8")
    paths = set(re.findall(r'"(/[a-z]+)"', text))
    asked = [found[1] for word in words if (found := re.match(r"https?://[^/]+(/[^?]*)", word))]
    return None if asked and set(asked) <= paths else f"the server has {', '.join(sorted(paths))}"


def _docker(words: list[str]) -> str | None:
    """Stages, build arguments, and what is run inside an image of hwnas."""
    path = ROOT / "Dockerfile"
    text = path.read_text("utf-8") if path.is_file() else ""
    stages, arguments = (set(re.findall(pattern, text, re.M)) for pattern in (r"^FROM .* AS (\S+)", r"^ARG (\w+)"))
    pairs = list(itertools.pairwise(words))
    images = [i for i, word in enumerate(words) if re.fullmatch(r"hwnas:[\w-]+", word) and words[0] == "run"]
    asked = {after for word, after in pairs if word == "--target"} | {words[i].partition(":")[2] for i in images}
    given = {after.partition("=")[0] for word, after in pairs if word == "--build-arg"}
    if unknown := (asked - stages) | (given - arguments):
        return f"the Dockerfile has no {', '.join(sorted(unknown))}"
    inside = words[images[0] + 1 :] if images else []
    return _hwnas(inside, True) if inside and not inside[0].endswith((".py", ".pyz")) else None


CHECKS: dict[str, Callable[[list[str]], str | None]] = {
    "pip": _pip, "python": _python, "python3": _python, "curl": _curl, "docker": _docker, "buildah": _docker,
}
