"""serve: load a model, listen, answer until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn

from hwnas.deploy.server.app import Service
from hwnas.deploy.server.connection import Connection
from hwnas.deploy.server.limits import HEAD_BYTES, Limits
from hwnas.deploy.server.worker import Model
from hwnas.errors import UsageError

BACKLOG = 128
TURNS = 4  # of the event loop, from accepting a connection to knowing of it
OWN_FILES = 32  # that are open besides connections: the listener, pipes, libraries
SILENT_S = 5  # between two requests of a connection
SENDING_S = 1.0  # after a stop, for bodies that are on their way


def serve(path: Path, *, host: str = "127.0.0.1", port: int = 8000, token: str | None = None,
          limits: Limits | None = None, overrides: Mapping[str, object] | None = None, threshold: float = 0.3,
          ready: Callable[[str, str], None] = lambda address, task: None,
          warn: Callable[[str], None] = lambda text: None) -> None:
    """Serve a model until SIGTERM or SIGINT; what was accepted by then is answered.

    Args:
        path: a bundle, a run folder or an ONNX file that hwnas exported.
        host, port: where to listen; port 0 takes a free one.
        token: that clients must send; None lets everybody in.
        limits: what is accepted.
        overrides: fields of the target to replace.
        threshold: least score of a box.
        ready: told the address and the task once the model is loaded.
        warn: told if another runtime than the model's answers, because its own is not here.

    Raises:
        UsageError: the address is taken or not this machine's, or the token is empty.
        InputError: no model there, or files of the bundle were changed.
        RunError: the run has no exported model.
    """
    if token is not None and not token.strip():
        raise UsageError("--token is empty: give a secret, or leave it out to let everybody in")
    model = Model(path, dict(overrides or {}), threshold)
    with contextlib.closing(listening(host, port)) as listener:  # first, so that of two starts one fails at once
        asyncio.run(_serve(model, limits or Limits(), token, listener, ready, warn))


async def _serve(model: Model, limits: Limits, token: str | None, listener: socket.socket,
                 ready: Callable[[str, str], None], warn: Callable[[str], None]) -> None:
    service = Service(model, limits, token)
    server = _Server(_config(service, limits), service)
    with _stopping(server):
        try:
            service.facts = facts = await service.worker.start()
            if facts.stands_in_for:
                warn(f"{facts.stands_in_for} cannot run this model here: ONNX Runtime answers in its place, and what "
                     "was promised of the latency does not hold; `hwnas doctor` says what is missing")
            if not server.should_exit:
                ready(_address(listener), facts.task)
            await server.serve(sockets=[listener])
        finally:
            await service.worker.close()


class _Server(uvicorn.Server):
    """uvicorn, with a long queue of who wants in; on its stop it also refuses what is still on its way."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and accept few at a time where few files may be open; the others wait in the system's queue, which
        takes none. Who finds that full is made to wait by its own system, for seconds."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for what was accepted."""
        asyncio.get_running_loop().call_later(SENDING_S, self._service.bodies.stop)
        await super().shutdown(sockets)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; clients wait in its backlog until the model is loaded.

    Raises:
        UsageError: the address is taken, or not this machine's.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as err:
        raise UsageError(f"--host {host} is no address: {err}; 127.0.0.1 is this machine alone, 0.0.0.0 all its "
                         "networks") from err
    listener = socket.socket(family, kind, protocol)  # asyncio sends small answers at once only where it is TCP by name
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a stop the port is free at once
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as err:
        listener.close()
        raise UsageError(f"cannot listen on {where}: {err.strerror or err}: choose another --port or --host") from err
    return listener


def room_for(connections: int) -> tuple[int, int]:
    """How many connections may be open, and how many are accepted at a time, with the files this process may open.

    The limit of files is raised where that is allowed; without room, nobody would be answered.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections, BACKLOG
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + BACKLOG + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            half = max(1, (soft - OWN_FILES) // 2)
            # A connection is counted some turns of the loop after it was accepted, and every turn accepts that many.
            return min(connections, half), min(BACKLOG, max(1, half // TURNS))
    return connections, BACKLOG


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _config(service: Service, limits: Limits) -> uvicorn.Config:
    connections, backlog = room_for(limits.connections)
    facts = {"patience_s": limits.client_s, "most": connections, "waiting": {},
             "count": staticmethod(service.metrics.error)}
    protocol: Any = type("PatientConnection", (Connection,), facts)
    return uvicorn.Config(
        service.app, http=protocol, ws="none", loop="asyncio", lifespan="off", log_level="error",
        access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=SILENT_S, backlog=backlog,
        timeout_graceful_shutdown=max(1, round(limits.stop_s)), h11_max_incomplete_event_size=HEAD_BYTES,
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _stopping(server: uvicorn.Server) -> Iterator[None]:
    """Signals that come before uvicorn listens to them, or that it raises again after its stop, end the server too."""

    def stop(number: int, frame: Any) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
