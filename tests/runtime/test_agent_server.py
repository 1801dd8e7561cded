"""The agent at the end of two pipes: what it obeys, what it refuses, what it leaves behind."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.profile.blocks import empty_model
from hwnas.runtime import SweepPlan
from hwnas.runtime.agent_server import remove_stale, take_over
from hwnas.runtime.agent_store import Store, disk_error

SETUP = {"runtime": "onnxruntime", "threads": 1, "precision": "fp32", "batch": 1, "cores": None}
OPEN = {"do": "open", "setup": SETUP, "lease_s": 240, "previous": None}
HASH = sha256(b"x").hexdigest()


class Agent:
    """A served agent and its pipes."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process, self.folder = process, folder

    def tell(self, command: Any, payload: bytes = b"") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((command if isinstance(command, bytes) else json.dumps(command).encode()) + b"\n")
        self.process.stdin.write(payload)
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def agent(base: Path, name: str = "hwnas-agent-one") -> Iterator[Agent]:
    folder = base / name
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", "import sys; from hwnas.runtime.agent import serve; serve(sys.argv[1])"]
    with subprocess.Popen([*command, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Agent(process, folder)
        finally:
            process.kill()


@pytest.mark.parametrize("command, words", [
    ({"do": "run", "shell": "reboot"}, "unknown command 'run'"),
    ({}, "unknown command 'None'"),
    ([1], "a command is a JSON object"),
    (b"{", "did not understand"),
    ({"do": "load", "part": {}}, "'load' comes after 'open'"),
    ({"do": "go", "first": 0}, "'go' comes after 'load'"),
    ({"do": "put", "sha256": "../../etc/passwd", "size": 1}, "64 hex digits"),
    ({"do": "put", "sha256": HASH.upper(), "size": 1}, "64 hex digits"),
    ({"do": "put", "sha256": HASH, "size": -1}, "a number from 0 to"),
    ({"do": "put", "sha256": HASH, "size": 1e300}, "a number from 0 to"),
    ({**OPEN, "setup": {}}, "not the setting of a measurement"),
    ({**OPEN, "lease_s": None}, "a number from 0 to"),
    ({**OPEN, "setup": {**SETUP, "runtime": "os"}}, "unknown runtime 'os'"),
    ({**OPEN, "previous": "../elsewhere"}, "not the folder of an agent"),
    ({**OPEN, "previous": "hwnas-agent-x/../.."}, "not the folder of an agent"),
])
def test_what_it_refuses(tmp_path: Path, command: Any, words: str) -> None:
    with agent(tmp_path) as served:
        served.tell(command)
        answer = served.hear()
        assert answer["say"] == "error"
        assert words in answer["message"]
        assert served.process.wait(60) == 0
        assert not served.folder.exists()


def test_bytes_that_are_not_what_they_are_called(tmp_path: Path) -> None:
    with agent(tmp_path) as served:
        served.tell({"do": "put", "sha256": HASH, "size": 1}, b"y")
        assert "did not arrive whole" in served.hear()["message"]


def test_goodbye_removes_everything(tmp_path: Path) -> None:
    with agent(tmp_path / "hwnas") as served:
        served.tell(OPEN)
        assert served.hear()["say"] == "opened"
        served.tell({"do": "put", "sha256": HASH, "size": 1}, b"x")
        served.tell({"do": "beat"})
        served.tell({"do": "bye"})
        assert served.hear() == {"say": "bye"}
        assert served.process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []  # the folder 'hwnas', made for agents, is empty and goes too


def test_silence_ends_the_lease(tmp_path: Path) -> None:
    with agent(tmp_path) as served:
        begin = time.monotonic()
        served.tell({**OPEN, "lease_s": 0.5})
        assert served.hear()["say"] == "opened"
        assert served.process.wait(60) == 0  # the pipe is still open, but nobody speaks
        assert time.monotonic() - begin >= 0.5
        assert not served.folder.exists()


def test_a_heir_takes_the_models_over(tmp_path: Path) -> None:
    with agent(tmp_path, "hwnas-agent-old") as old, agent(tmp_path, "hwnas-agent-new") as new:
        old.tell(OPEN)
        assert old.hear()["stored"] == []
        old.tell({"do": "put", "sha256": HASH, "size": 1}, b"x")
        assert old.process.stdin is not None
        old.process.stdin.close()  # the connection is lost
        time.sleep(0.5)
        assert old.process.poll() is None
        new.tell({**OPEN, "previous": "hwnas-agent-old"})
        assert new.hear()["stored"] == [HASH]
        assert old.process.wait(60) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["hwnas-agent-new"]
        assert Store(new.folder / "job").model(HASH) == b"x"


def test_sweeps_that_were_made_but_not_received_come_from_the_file(tmp_path: Path) -> None:
    model = empty_model(1)
    name = sha256(model).hexdigest()
    part = {"models": {"large": name, "small": name}, "plan": SweepPlan(("large", "small")).to_json()}
    with agent(tmp_path, "hwnas-agent-old") as old, agent(tmp_path, "hwnas-agent-new") as new:
        old.tell(OPEN)
        old.tell({"do": "put", "sha256": name, "size": len(model)}, model)
        old.tell({"do": "load", "part": part})
        old.tell({"do": "go", "first": 0})
        results = old.folder / "job" / "results.jsonl"
        until = time.monotonic() + 120
        while not results.exists() or len(results.read_text().splitlines()) < 10:  # nobody reads what it says
            assert time.monotonic() < until
            time.sleep(0.02)
        assert old.process.stdin is not None
        old.process.stdin.close()
        new.tell({**OPEN, "previous": "hwnas-agent-old"})
        assert new.hear()["stored"] == [name]
        new.tell({"do": "load", "part": part})
        while (said := new.hear())["say"] != "ready":
            assert said["say"] == "loaded"
        kept = [json.loads(line) for line in (new.folder / "job" / "results.jsonl").read_text().splitlines()[1:]]
        new.tell({"do": "go", "first": 3})
        heard = [new.hear()["sweep"] for _ in range(len(kept) + 5)]
    assert heard[: len(kept) - 3] == kept[3:]
    assert [sweep["number"] for sweep in heard] == list(range(3, len(heard) + 3))


def test_termination_cleans_up(tmp_path: Path) -> None:
    with agent(tmp_path) as served:
        served.tell(OPEN)
        served.hear()
        served.process.terminate()
        assert served.process.wait(60) == 0
        assert not served.folder.exists()


def test_libraries_may_print(tmp_path: Path) -> None:
    """What goes to standard output by other ways than the agent's must not come between the answers."""
    folder = tmp_path / "hwnas-agent-one"
    folder.mkdir()
    code = """
import os, sys
import hwnas.runtime.agent as agent
class Noisy(agent.Server):
    def run(self):
        os.write(1, b"noise")
        print("more noise", flush=True)
        super().run()
agent.Server = Noisy
agent.serve(sys.argv[1])
"""
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        out, err = process.communicate(b'{"do": "bye"}\n')
    assert out == b'{"say": "bye"}\n'
    assert err == b"noisemore noise\n"


def test_taking_over_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "hwnas-agent-new").mkdir()
    take_over(tmp_path / "hwnas-agent-new", "hwnas-agent-gone")
    assert list((tmp_path / "hwnas-agent-new").iterdir()) == []


def test_only_old_folders_of_agents_are_stale(tmp_path: Path) -> None:
    own, old, fresh, other = (tmp_path / name for name in ("hwnas-agent-a", "hwnas-agent-b", "hwnas-agent-c", "mine"))
    for folder in (own, old, fresh, other):
        folder.mkdir()
        if folder != fresh:
            os.utime(folder, (0, 0))
    remove_stale(own)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hwnas-agent-a", "hwnas-agent-c", "mine"]


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    text = disk_error(tmp_path, OSError(errno.ENOSPC, "No space left on device"))
    assert text.startswith("the disk is full (")
    assert "TMPDIR" in text
    with pytest.raises(InputError, match="cannot write to"):
        Store(Path("/dev/null/x")).put(HASH, [b"x"])


def test_results_do_not_make_a_folder_anew(tmp_path: Path) -> None:
    """An agent whose job was taken over must not go on beside its heir."""
    with pytest.raises(InputError, match="cannot write to"):
        Store(tmp_path / "gone").append({"number": 0})
