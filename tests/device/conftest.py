"""A real sshd on loopback, started by the test as the current user, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from hwnas.device import SshDevice


@dataclass(frozen=True)
class Sshd:
    """The server.

    Args:
        folder: keys and configuration.
        scratch: TMPDIR of those who log in.
        port: where it listens.
        pid: of the listener.
    """

    folder: Path
    scratch: Path
    port: int
    pid: int

    @property
    def ssh(self) -> tuple[str, ...]:
        return "ssh", "-F", str(self.folder / "ssh_config")

    @property
    def address(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def device(self, **options: object) -> SshDevice:
        defaults = {"python": sys.executable, "ssh": self.ssh, "lease_s": 20.0, "patience_s": 30.0}
        return SshDevice(self.address, "onnxruntime", **{**defaults, **options})  # type: ignore[arg-type]

    def cut(self) -> int:
        """Kill the processes of all connections; how many there were."""
        children = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == self.pid]
        for child in children:
            os.kill(child, signal.SIGKILL)
        return len(children)

    def agents(self) -> list[str]:
        """Folders of agents on the device."""
        return sorted(path.name for path in self.scratch.iterdir())

    def wait_until_clean(self, seconds: float) -> float:
        """Wait until no agent left anything; how long that took."""
        begin = time.monotonic()
        while self.agents() and time.monotonic() - begin < seconds:
            time.sleep(0.05)
        assert self.agents() == []
        return time.monotonic() - begin


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configure(folder: Path, scratch: Path, port: int) -> None:
    _key(folder / "host_key")
    _key(folder / "user_key")
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    host_key = (folder / "host_key.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile {folder}/pid\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nUsePAM no\nSetEnv TMPDIR={scratch} OMP_NUM_THREADS=1\n"
    )
    (folder / "ssh_config").write_text(
        f"IdentityFile {folder}/user_key\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known_hosts\n"
        "GlobalKnownHostsFile /dev/null\n"
    )


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    binary = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if binary is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here: apt-get install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd started by root confines itself
    folder, scratch = tmp_path_factory.mktemp("sshd"), tmp_path_factory.mktemp("device")
    port = _free_port()
    _configure(folder, scratch, port)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
        try:
            _wait_for(port, process)
            yield Sshd(folder, scratch, port, process.pid)
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, "sshd did not start"
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")


@pytest.fixture(scope="session")
def models() -> dict[str, bytes]:
    """Three matrix products of different sizes."""
    return {name: matmul(n) for name, n in (("large", 192), ("small", 48), ("middle", 96))}


def matmul(n: int) -> bytes:
    """n x n by n x n."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, (n, n), np.full((n, n), 0.01, np.float32).tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (n, n))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (n, n))], [weight],
    )
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()
    return data
