"""A device behind ssh: the agent is sent there, measures, streams its sweeps back and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from hwnas.device.address import Address, check_python
from hwnas.device.connection import Connection, Dropped, Unreachable
from hwnas.documents import Record
from hwnas.errors import InputError
from hwnas.progress import Progress, silent
from hwnas.runtime import Device, Fingerprint, Sweep, SweepPlan
from hwnas.runtime.agent_job import Part, Setup, digest
from hwnas.runtime.device import check_sweep

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 15.0  # seconds between two attempts to connect again
_FRUITLESS = 3  # connections in a row that broke off before they gave a sweep


class SshDevice(Device):
    """A device that the system's ssh reaches, with its configuration, keys and known hosts.

    It needs Python 3.8, numpy and the runtime there, and no rights. A connection that breaks off is made again; the
    models that were sent and the sweeps that were made are still there then.

    Args:
        address: 'ssh://[user@]host[:port]'.
        runtime, threads, precision, batch, cores: the setting, as in `hwnas.target.Target`.
        python: name or path of the interpreter on the device.
        ssh: the command that ssh is called by.
        patience_s: how long a lost connection is tried again.
        lease_s: how long the device keeps what was sent after a connection was lost.
        progress: is told of the models sent and loaded.

    Raises:
        UsageError: the address or the interpreter is not one.
    """

    def __init__(
        self, address: str, runtime: str, threads: int = 1, precision: str = "fp32", *,
        batch: int = 1, cores: tuple[int, ...] | None = None, python: str = "python3", ssh: Sequence[str] = ("ssh",),
        patience_s: float = 300.0, lease_s: float = 120.0, progress: Progress = silent,
    ) -> None:
        self.address, self.python = Address.parse(address), check_python(python)
        self.setup = Setup(runtime, threads, precision, batch, cores)
        self.ssh, self.patience_s, self.lease_s, self.progress = tuple(ssh), patience_s, lease_s, progress
        self._fingerprint: Fingerprint | None = None

    def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            work = _Work(self, {}, None)
            work.close()
            self._fingerprint = work.fingerprint
        return self._fingerprint

    @contextmanager
    def sweeps(self, models: Mapping[str, bytes], plan: SweepPlan) -> Iterator[Iterator[Sweep]]:
        work = _Work(self, models, plan)
        self._fingerprint = work.fingerprint
        try:
            yield work.sweeps()
        finally:
            work.close()


class _Work:
    """One job on the device, over as many connections as it takes.

    Args:
        plan: None only asks for the fingerprint.
    """

    def __init__(self, device: SshDevice, models: Mapping[str, bytes], plan: SweepPlan | None) -> None:
        self._device = device
        self._models = {digest(model): model for model in models.values()}
        names = {name: digest(model) for name, model in models.items()}
        self._part = Part(names, plan) if plan else None
        self._folder: str | None = None
        self._next = 0
        try:
            self._connect()
        except Unreachable as err:
            raise InputError(str(err)) from err
        except Dropped as err:
            self._connect_again(err)

    def sweeps(self) -> Iterator[Sweep]:
        """Sweeps without end, each number once."""
        fruitless = 0
        while True:
            try:
                answer = self._connection.receive()
            except Dropped as err:
                fruitless += 1
                if fruitless > _FRUITLESS:
                    raise InputError(f"{err}; {fruitless} times in a row, without a sweep in between") from err
                self._connect_again(err)
                continue
            sweep = Sweep.from_json(answer.get("sweep", {}))
            if self._part is not None:
                check_sweep(sweep, self._part.models, self._part.plan)
            if sweep.number != self._next:
                raise InputError(f"{self._device.address} sent sweep {sweep.number}, not {self._next}")
            self._next, fruitless = self._next + 1, 0
            yield sweep

    def close(self) -> None:
        """Tell the agent to clean up."""
        self._connection.close(farewell=True)

    def _connect(self) -> None:
        device = self._device
        self._connection = Connection(device.ssh, device.address, device.python, device.lease_s / 4)
        try:
            self._prepare()
        except Dropped:
            self._connection.close()
            raise
        except BaseException:
            self._connection.close(farewell=True)
            raise

    def _connect_again(self, reason: Dropped) -> None:
        """Try until it works or patience ends.

        Raises:
            InputError: patience ended, or the device says that something is wrong.
        """
        until, wait, last = time.monotonic() + self._device.patience_s, _FIRST_WAIT, str(reason)
        self._connection.close()
        while time.monotonic() + wait < until:
            self._device.progress(f"lost the connection ({last}); trying again", 0, 0)
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            try:
                return self._connect()
            except Dropped as err:
                last = str(err)
        raise InputError(f"lost the connection and could not make it again in {self._device.patience_s:.0f} s: {last}")

    def _prepare(self) -> None:
        """Everything up to the first sweep."""
        device, connection = self._device, self._connection
        connection.send({"do": "open", "setup": device.setup.to_json(), "lease_s": device.lease_s,
                         "previous": self._folder})
        opened = Record(connection.receive(), f"the agent on {device.address}")
        self._folder = opened.text("folder", most=1000)
        self.fingerprint = Fingerprint.from_json(opened.get("device"))
        stored = set(opened.items("stored", opened.text_of))
        if self._part is None:
            return
        missing = [name for name in self._models if name not in stored]
        for done, name in enumerate(missing, 1):
            connection.send({"do": "put", "sha256": name, "size": len(self._models[name])}, self._models[name])
            device.progress("sending models", done, len(missing))
        connection.send({"do": "load", "part": self._part.to_json()})
        while (answer := Record(connection.receive(), f"the agent on {device.address}")).text("say") != "ready":
            device.progress("loading models", answer.integer("done"), answer.integer("total"))
        connection.send({"do": "go", "first": self._next})
