"""`hwnas serve` under load: throughput, waiting times, errors and memory, from 1 to 32 connections on this machine.

    python benchmarks/deploy_load.py MODEL photo.jpg --seconds 2

MODEL is a bundle, a run folder or an ONNX file. The server is a process of its own; the client is one event loop of
plain sockets, which keeps its connections open. The first two rows are in this process: the session alone, and an image
from its bytes to its answer; so what decoding costs and what HTTP costs are told apart. Client and server share the
machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.deploy.server.pictures import decoded
from hwnas.deploy.server.serving import loaded
from hwnas.pipeline.frames import Frame

CONNECTIONS = (1, 2, 4, 8, 16, 32)


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


def bare_ms(model: Path, body: bytes, seconds: float) -> tuple[list[float], list[float]]:
    """Times of the session alone on an input of its own shape, and of an image from its bytes to its answer."""
    predictor = loaded(model, {}, 0.3)
    feed = predictor.session.example(1)

    def answer() -> None:
        predictor.predict(Frame("image", decoded(body, 1 << 30), 1))

    return timed(lambda: predictor.session.run(feed), seconds), timed(answer, seconds)


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Wall times of one call after the other, ms."""
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def memory_mb(pid: int) -> float:
    """What a process holds now, 10^6 bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def row(name: str, seconds: float, times_ms: Sequence[float], refused: int, lost: int, memory: str) -> str:
    """A line of the table."""
    p50, p99 = np.percentile(times_ms, [50, 99]) if times_ms else (float("nan"), float("nan"))
    return f"| {name} | {len(times_ms) / seconds:.0f} | {p50:.2f} | {p99:.2f} | {refused} | {lost} | {memory} |"


def table(server: subprocess.Popen[str], body: bytes, alone: Sequence[tuple[str, list[float]]], seconds: float) -> Load:
    """Print the table, a row as soon as it is known; the load of one connection."""
    assert server.stdout is not None
    port = int(server.stdout.readline().split()[0].rpartition(":")[2])
    asyncio.run(load(port, body, 1, seconds / 4))  # warm
    before, found = memory_mb(server.pid), []
    print("| connections | answers a second | p50, ms | p99, ms | refused | lost | memory before and after, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, times_ms in alone:
        print(row(name, seconds, times_ms, 0, 0, ""))
    for connections in CONNECTIONS:
        seen = asyncio.run(load(port, body, connections, seconds))
        found.append(seen)
        after = memory_mb(server.pid)
        memory = f"{before:.0f} to {after:.0f}"
        print(row(str(connections), seen.seconds, seen.times_ms, seen.refused, seen.lost, memory), flush=True)
        before = after
    return found[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each number of connections")
    parser.add_argument("--workers-queue", type=int, default=32)
    given = parser.parse_args()
    body = given.image.read_bytes()
    bare, whole = bare_ms(given.model, body, given.seconds)
    words = [sys.executable, "-m", "hwnas", "serve", str(given.model), "--port", "0", "--workers-queue",
             str(given.workers_queue)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            first = table(server, body, [("session alone", bare), ("image to answer", whole)], given.seconds)
        finally:
            server.terminate()
    alone, decoding, served = (float(np.median(times)) for times in (bare, whole, first.times_ms))
    print(f"\nAt one connection: {served:.2f} ms, of them {alone:.2f} the session, {decoding - alone:.2f} decoding and "
          f"fitting the image, {served - decoding:.2f} HTTP; {100 * (served / alone - 1):.0f} % over the session, "
          f"{100 * (served / decoding - 1):.0f} % over the same work without HTTP.")


if __name__ == "__main__":
    main()
