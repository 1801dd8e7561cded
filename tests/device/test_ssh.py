"""Measuring behind a real sshd on loopback, with the connection cut in the middle."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hwnas.errors import InputError, MissingDependency, UsageError
from hwnas.runtime import Fingerprint, SweepPlan, open_runtime

PLAN = SweepPlan(("large", "small"))


def test_sweeps_come_in_order_and_nothing_stays(sshd, models) -> None:
    device = sshd.device()
    with device.sweeps(models, PLAN) as sweeps:
        found = list(itertools.islice(sweeps, 4))
        assert len(sshd.agents()) == 1
    assert [sweep.number for sweep in found] == [0, 1, 2, 3]
    assert sshd.agents() == []
    for sweep in found:
        assert sorted(sweep.times_ms) == sorted(models)
        assert [len(times) for times in sweep.times_ms.values()] == [2, 2, 2]
        assert sweep.times_ms["large"][0] > sweep.times_ms["small"][0] > 0
        assert len(sweep.sentinels_ms) == len(sweep.kernel_ms) == 4


def test_the_fingerprint_is_the_devices_own(sshd) -> None:
    found, here = sshd.device().fingerprint(), Fingerprint.of(open_runtime("onnxruntime"))
    assert found.same_device(here) == []
    assert (found.python, found.flags) == (here.python, here.flags)
    assert sshd.agents() == []


def test_a_cut_connection_loses_and_repeats_nothing(sshd, models) -> None:
    told: Counter[str] = Counter()
    device = sshd.device(progress=lambda what, done, total: told.update([what.partition(" (")[0]]))
    numbers = []
    with device.sweeps(models, PLAN) as sweeps:
        for sweep in itertools.islice(sweeps, 60):
            numbers.append(sweep.number)
            if sweep.number in (3, 25):
                assert sshd.cut() >= 1
    assert numbers == list(range(60))
    assert told["lost the connection"] == 2
    assert told["sending models"] == 3  # once each: the device still had them
    assert told["loading models"] == 9
    sshd.wait_until_clean(5)


HOST = """
import sys, time
from pathlib import Path
from hwnas.device import SshDevice
from hwnas.runtime import SweepPlan
address, config, python, folder = sys.argv[1:]
models = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
device = SshDevice(address, "onnxruntime", ssh=("ssh", "-F", config), python=python, lease_s=2.0)
with device.sweeps(models, SweepPlan(("large", "small"))) as sweeps:
    print(next(sweeps).number, flush=True)
    time.sleep(60)
"""


def test_an_agent_whose_host_was_killed_removes_itself(sshd, models, tmp_path: Path) -> None:
    for name, model in models.items():
        (tmp_path / name).write_bytes(model)
    command = [sys.executable, "-c", HOST, sshd.address, str(sshd.folder / "ssh_config"), sys.executable, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"0\n"
        host.send_signal(signal.SIGKILL)
    assert len(sshd.agents()) == 1
    assert sshd.wait_until_clean(15) > 1.0  # it waited for its lease first


@pytest.mark.parametrize("options, words", [
    ({"python": "python3.99"}, "no such Python on .*python3.99.*--device-python"),
    ({"python": "/bin/true"}, "the agent on .* ended"),
])
def test_a_python_that_is_none(sshd, options, words) -> None:
    with pytest.raises(InputError, match=words):
        sshd.device(**options).fingerprint()


def test_a_python_without_numpy(sshd, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(InputError, match=f"cannot import numpy.*type there `{python} -m pip install numpy`"):
        sshd.device(python=python).fingerprint()
    assert sshd.agents() == []


def test_a_runtime_that_is_missing_there(sshd) -> None:
    device = sshd.device()
    object.__setattr__(device.setup, "runtime", "tensorrt")
    with pytest.raises(InputError, match=r"on .*127\.0\.0\.1.*tensorrt"):
        device.fingerprint()
    assert sshd.agents() == []


def test_a_model_that_is_none(sshd, models) -> None:
    with (pytest.raises(InputError, match="model 'middle': not a model"),
          sshd.device().sweeps({**models, "middle": b"no model"}, PLAN)):
        pass
    assert sshd.agents() == []


def test_an_unknown_host_key(sshd, tmp_path: Path) -> None:
    config = (sshd.folder / "ssh_config").read_text().replace(str(sshd.folder / "known_hosts"), str(tmp_path / "none"))
    (tmp_path / "config").write_text(config)
    with pytest.raises(InputError, match=r"host key of .* is not known: `ssh -p .*` once by hand"):
        sshd.device(ssh=("ssh", "-F", str(tmp_path / "config"))).fingerprint()


def test_another_host_key(sshd, tmp_path: Path) -> None:
    other = (sshd.folder / "user_key.pub").read_text().split()
    (tmp_path / "hosts").write_text(f"[127.0.0.1]:{sshd.port} {other[0]} {other[1]}\n")
    config = (sshd.folder / "ssh_config").read_text().replace(str(sshd.folder / "known_hosts"), str(tmp_path / "hosts"))
    (tmp_path / "config").write_text(config)
    with pytest.raises(InputError, match="is not the one that ssh knows"):
        sshd.device(ssh=("ssh", "-F", str(tmp_path / "config"))).fingerprint()


def test_a_key_that_is_not_accepted(sshd, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    config = (sshd.folder / "ssh_config").read_text().replace(str(sshd.folder / "user_key"), str(tmp_path / "key"))
    (tmp_path / "config").write_text(config)
    with pytest.raises(InputError, match="does not let you in without a password: `ssh-copy-id -p"):
        sshd.device(ssh=("ssh", "-F", str(tmp_path / "config"))).fingerprint()


def test_nobody_listens(sshd) -> None:
    from hwnas.device import SshDevice

    with pytest.raises(InputError, match=r"cannot connect to 127\.0\.0\.1:1: .*refused"):
        SshDevice("ssh://127.0.0.1:1", "onnxruntime", ssh=sshd.ssh).fingerprint()


def test_no_ssh_here(sshd) -> None:
    with pytest.raises(MissingDependency, match="no-such-ssh"):
        sshd.device(ssh=("no-such-ssh",)).fingerprint()


@pytest.mark.parametrize("address", ["host", "ssh://", "ssh://-oProxyCommand=x", "ssh://a b", "ssh://h:0", "ssh://h:x",
                                     "ssh://u@-h", "ssh://h;reboot", "ssh://$(reboot)@h/"])
def test_addresses_that_are_none(address: str) -> None:
    from hwnas.device import SshDevice

    with pytest.raises(UsageError, match="a device is written"):
        SshDevice(address, "onnxruntime")


@pytest.mark.parametrize("python", ["", "python3 -c x", "python3;reboot", "$(reboot)", "-V", "a'b"])
def test_pythons_that_are_none(python: str) -> None:
    from hwnas.device import SshDevice

    with pytest.raises(UsageError, match="the device's Python"):
        SshDevice("ssh://host", "onnxruntime", python=python)
