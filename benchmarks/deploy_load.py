"""`hwnas serve` under load: throughput, waiting times, errors and memory, from 1 to 32 connections on this machine.

    python benchmarks/deploy_load.py MODEL photo.jpg --seconds 2

MODEL is a bundle, a run folder or an ONNX file. The server is a process of its own; the client is one event loop of
plain sockets, which keeps its connections open. The first rows are in this process: the session alone, an image from
its bytes to the input of the network, and to its answer; so what decoding costs and what HTTP costs are told apart. All
of them are measured in turns with the server at one connection, so that a machine that changes its speed changes all
alike. Client and server share the machine's cores. The last lines are the ratios to the bare session.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwnas.deploy.server.answering import answer, loaded, seen
from hwnas.deploy.server.job import Job
from hwnas.runtime import Array, Inputs, Session

CONNECTIONS = (1, 2, 4, 8, 16, 32)
ROUNDS = 8
SESSION, FITTED, WHOLE = "session alone", "image to input", "image to answer"


@dataclass(frozen=True)
class Load:
    """What some connections saw.

    Args:
        connections: that asked at the same time.
        seconds: from the first request to the last answer.
        times_ms: of the answers with status 200.
        refused: answers with another status.
        lost: connections that broke.
    """

    connections: int
    seconds: float
    times_ms: Sequence[float]
    refused: int
    lost: int


async def load(port: int, body: bytes, connections: int, seconds: float) -> Load:
    """Ask for `seconds` over some connections, one request after the other on each."""
    times: list[float] = []
    counts = {"refused": 0, "lost": 0}
    begin = time.perf_counter()

    async def ask() -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while time.perf_counter() - begin < seconds:
                start = time.perf_counter()
                if await status_of(reader, writer, body) == 200:
                    times.append((time.perf_counter() - start) * 1e3)
                else:
                    counts["refused"] += 1
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            counts["lost"] += 1

    await asyncio.gather(*(ask() for _ in range(connections)))
    return Load(connections, time.perf_counter() - begin, times, **counts)


async def status_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> int:
    """Send one image and read the answer."""
    writer.write(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    told = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    await reader.readexactly(int(told[0].partition(b":")[2]))
    return int(head.split(b" ", 2)[1])


class Reached(Exception):
    """The input of the network is made."""


class Stop(Session):
    """A session that ends the prediction where the network would begin."""

    def __init__(self, other: Session) -> None:
        self.input_name = other.input_name

    def run(self, inputs: Inputs) -> list[Array]:
        raise Reached


def alone(model: Path, body: bytes) -> dict[str, Callable[[], object]]:
    """What is timed without HTTP, from the least to all of it."""
    predictor = loaded(model, {}, 0.3)
    feed, stopped, job = predictor.session.example(1), replace(predictor, session=Stop(predictor.session)), Job()

    def fitted() -> None:
        with contextlib.suppress(Reached):
            seen(stopped, job, body)

    return {SESSION: lambda: predictor.session.run(feed), FITTED: fitted,
            WHOLE: lambda: answer(predictor, job, body)}


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Wall times of one call after the other, ms."""
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def memory_mb(pid: int) -> float:
    """What a process and its children hold now, 10^6 bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(line.split()[1]) * 1024 / 1e6 + sum(memory_mb(int(child)) for child in children)


def row(name: str, seconds: float, times_ms: Sequence[float], refused: int, lost: int, memory: str) -> str:
    """A line of the table."""
    p50, p99 = np.percentile(times_ms, [50, 99]) if times_ms else (float("nan"), float("nan"))
    return f"| {name} | {len(times_ms) / seconds:.0f} | {p50:.2f} | {p99:.2f} | {refused} | {lost} | {memory} |"


def in_turns(calls: Mapping[str, Callable[[], object]], port: int, body: bytes, seconds: float
             ) -> tuple[dict[str, list[float]], Load]:
    """Times of the calls, and of the server at one connection, `ROUNDS` times one after the other."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    loads = []
    for number in range(ROUNDS + 1):  # the first one warms up
        found = {name: timed(call, seconds / ROUNDS) for name, call in calls.items()}
        seen = asyncio.run(load(port, body, 1, seconds / ROUNDS))
        if number:
            loads.append(seen)
            times = {name: times[name] + found[name] for name in calls}
    return times, Load(1, sum(x.seconds for x in loads), [t for x in loads for t in x.times_ms],
                       sum(x.refused for x in loads), sum(x.lost for x in loads))


def table(server: subprocess.Popen[str], model: Path, body: bytes, seconds: float) -> dict[str, float]:
    """Print the table; the medians by row."""
    assert server.stdout is not None
    port = int(server.stdout.readline().split()[0].rpartition(":")[2])
    times, first = in_turns(alone(model, body), port, body, seconds)
    medians = {name: float(np.median(found)) for name, found in times.items()}
    print("| connections | answers a second | p50, ms | p99, ms | refused | lost | memory before and after, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, found in times.items():
        print(row(name, sum(found) / 1e3, found, 0, 0, ""))
    before = memory_mb(server.pid)
    for connections in CONNECTIONS:
        seen = first if connections == 1 else asyncio.run(load(port, body, connections, seconds))
        medians[str(connections)] = float(np.median(seen.times_ms))
        after = memory_mb(server.pid)
        memory = f"{before:.0f} to {after:.0f}"
        print(row(str(connections), seen.seconds, seen.times_ms, seen.refused, seen.lost, memory), flush=True)
        before = after
    return medians


def told(ms: Mapping[str, float]) -> str:
    """The ratios, in words."""
    bare, http = ms[SESSION], ms["1"] - ms[WHOLE]
    ratios = ", ".join(f"{ms[str(n)] / bare:.2f} at {n}" for n in CONNECTIONS)
    return (f"\nDecoding and fitting {ms[FITTED]:.2f} ms, session {bare:.2f} ms, what is left of the answer "
            f"{ms[WHOLE] - ms[FITTED] - bare:.2f} ms, HTTP {http:.2f} ms.\n"
            f"Ratio to the bare session: in process {ms[WHOLE] / bare:.2f}; served {ms['1'] / bare:.2f} at one "
            f"connection, HTTP alone {(bare + http) / bare:.2f}. By connections: {ratios}.")


def main() -> None:
    """Print the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row")
    parser.add_argument("--workers-queue", type=int, default=32)
    given = parser.parse_args()
    words = [sys.executable, "-m", "hwnas", "serve", str(given.model), "--port", "0", "--workers-queue",
             str(given.workers_queue)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            print(told(table(server, given.model, given.image.read_bytes(), given.seconds)))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
