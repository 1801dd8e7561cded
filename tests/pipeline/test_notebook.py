"""A notebook: progress without asking, short results, short errors, names that complete. Through a real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import BudgetInfeasible, HwnasError
from hwnas.pipeline import RunFolder, pick
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.display.interactive import Cell, session

HANG_S = 240  # no answer of a kernel takes that long, on whatever machine
OPTIONS = 'data="digits", limit=60, target="raspberry-pi-4", until="profile", tables="{}"'


class Kernel:
    """A kernel of Jupyter, and what it said."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, code: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        self.client.execute_interactive(code, timeout=HANG_S, output_hook=found.append)
        kept = ("stream", "display_data", "update_display_data", "execute_result", "error")
        return _whole_streams([m["content"] | {"kind": m["msg_type"]} for m in found if m["msg_type"] in kept])

    def complete(self, code: str) -> list[str]:
        told = self.client.complete(code, len(code), reply=True, timeout=HANG_S)["content"]
        return [str(match) for match in told["matches"]]


def _whole_streams(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What one print wrote as one message: a busy kernel sends the words and the end of the line in two."""
    whole: list[dict[str, Any]] = []
    for said in found:
        before = whole[-1] if whole else {}
        if said["kind"] == "stream" and (before.get("kind"), before.get("name")) == ("stream", said["name"]):
            before["text"] += said["text"]
        else:
            whole.append(dict(said))
    return whole


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    pytest.importorskip("ipykernel", reason="no kernel of Jupyter: pip install ipykernel")
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=HANG_S,
                                       cwd=str(tmp_path_factory.mktemp("notebook")))
    try:
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.mark.filterwarnings("ignore")
def test_compress_shows_what_it_does_in_one_output(kernel: Kernel, tables: Path) -> None:
    out = kernel.run(f"import hwnas\nrun = hwnas.compress('run', {OPTIONS.format(tables)})\nrun")
    shown = [o for o in out if o["kind"] in ("display_data", "update_display_data")]
    assert [o["kind"] for o in shown].count("display_data") == 1
    last = shown[-1]["data"]
    assert "digits -> raspberry-pi-4, space mobile, budget latency 50%" in last["text/plain"]
    assert any(line.startswith("profile") for line in last["text/plain"].splitlines())
    assert last["text/html"].startswith("<pre>")
    [result] = [o for o in out if o["kind"] == "execute_result"]
    assert "hwnas.resume(" in result["data"]["text/plain"]
    assert "<table>" in result["data"]["text/html"]
    assert "0x" not in result["data"]["text/plain"]


@pytest.mark.filterwarnings("ignore")
def test_what_is_asked_for_wins_over_what_is_chosen(kernel: Kernel, tables: Path) -> None:
    out = kernel.run("from hwnas.progress import silent\n"
                     f"run = hwnas.compress('quiet', progress=silent, {OPTIONS.format(tables)})")
    assert out == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code, word", [
    ("hwnas.compress(epoch=3)", "Did you mean 'epochs'"), ("hwnas.load('nowhere')", "is not a run folder"),
    ("hwnas.compress('x', data='no/such/folder')", "no/such/folder"),
    ("hwnas.compress('y', budgets={'latency': '1ns'}, target='raspberry-pi-4')", "no architecture meets the budgets"),
])
def test_an_error_is_one_message(kernel: Kernel, code: str, word: str) -> None:
    [error] = [o for o in kernel.run(f"import hwnas\n{code}") if o["kind"] == "error"]
    shown = "\n".join(error["traceback"])
    assert word in shown
    assert len(shown.splitlines()) <= 4
    assert "%debug" in shown
    assert "Traceback" not in shown
    assert kernel.run("import sys; print(sys.last_value.__traceback__ is not None)")[0]["text"] == "True\n"


@pytest.mark.filterwarnings("ignore")
def test_names_complete(kernel: Kernel) -> None:
    kernel.run("import hwnas")
    assert any(name.endswith("compress") for name in kernel.complete("hwnas.com"))
    assert "budgets=" in kernel.complete("hwnas.compress(bud")
    assert {"epochs=", "epochs_per_evaluation="} <= set(kernel.complete("hwnas.compress(data='digits', ep"))


def test_a_finished_run_says_what_it_reached(finished: RunFolder) -> None:
    text, page = repr(finished), finished._repr_html_()
    verdict = finished.result("export")["verdict"]
    assert repr(finished) == text
    assert f"{verdict['accuracy']:.2f} % (always" in text
    assert f"{verdict['latency']['median_ms']:.3f} ms measured" in text
    assert re.search(r"budget +flops 60 ?% of .*, met", text)
    assert text.splitlines()[-1].endswith("report.html")
    assert 'target="_blank">' in page
    assert "<RunFolder" not in page


def test_answers_are_a_table(finished: RunFolder) -> None:
    found = pick(finished.path, {"flops": "90%"}, top=3)
    lines = repr(found).splitlines()
    assert len(lines) == 1 + len(found)
    assert lines[0].split() == ["#", "score", "latency", "flops", "params", "memory", "choice"]
    assert f"{found[0].predicted_score:.2f} %" in lines[1]
    assert found._repr_html_().count("<tr>") == 1 + len(found)
    assert all(len(repr(thing)) < 200 for thing in (found[0], found[0].architecture, found[0].architecture.space))


def test_a_name_from_outside_steers_no_page_and_no_terminal(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "<b>\x1b[2J", CompressConfig(budgets={"latency": "50%"}))
    assert "\x1b" not in repr(run) + run._repr_html_()
    assert "<b>" not in run._repr_html_()


def test_a_run_that_cannot_be_read_is_still_shown(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CompressConfig())
    run.finish("export", {}, [], 0.0)
    assert "cannot be told" in repr(run)


def test_a_script_is_quiet() -> None:
    assert session() == "script"


class Written(Cell):
    """A cell whose states go to a list."""

    states: list[str]

    def _show(self) -> None:
        self.states.append("|".join([*self._lines, self._notes.get(False, "")]))


def test_a_cell_keeps_lines_and_rewrites_how_far_it_is() -> None:
    seconds = iter(range(100))
    cell = Written(clock=lambda: float(next(seconds)))
    cell.states = []
    cell.say("data done")
    for done in range(4):
        cell.progress("search", done, 10)
    cell.say("search done")
    assert cell.states == [
        "data done|", "data done|  search: 1 of 10, about 9.0 s left", "data done|  search: 2 of 10, about 8.0 s left",
        "data done|  search: 3 of 10, about 7.0 s left", "data done|search done|"]


def test_the_frames_are_shown_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HWNAS_DEBUG", raising=False)
    with pytest.raises(HwnasError) as raised:
        raise BudgetInfeasible("no \x1b[2J", {}, {})
    raised.value.add_note("ask again")
    assert raised.value._render_traceback_() == [
        "BudgetInfeasible: no \\x1b[2J\nask again\n(%debug goes to the place; HWNAS_DEBUG=1 shows it)"]
    monkeypatch.setenv("HWNAS_DEBUG", "1")
    assert "test_notebook.py" in "".join(raised.value._render_traceback_())
