"""Figures of a server in the text form of Prometheus, version 0.0.4."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OTHER = "other"


class Histogram:
    """Seconds by bucket."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def lines(self, name: str, about: str) -> Iterator[str]:
        """As Prometheus has it: every bucket counts what is in those below as well."""
        yield from _head(name, "histogram", about)
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum_s:.9g}"
        yield f"{name}_count {total}"


class Metrics:
    """What a server counts.

    Args:
        paths: that have a counter of their own; all others share one, so that clients cannot make any number of them.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._requests: Counter[tuple[str, int]] = Counter()
        self._errors: Counter[str] = Counter()
        self.answered, self.inferred = Histogram(), Histogram()

    def request(self, path: str, status: int) -> None:
        """Count an answer."""
        self._requests[path if path in self._paths else OTHER, status] += 1
        if status >= 400:
            self.error(kind_of(status))

    def error(self, kind: str) -> None:
        """Count something that went wrong."""
        self._errors[kind] += 1

    def text(self, waiting: int) -> str:
        """The page.

        Args:
            waiting: predictions in the queue.
        """
        return "\n".join([*self._counters(), *_head("hwnas_queue_length", "gauge", "Predictions that wait."),
                          f"hwnas_queue_length {waiting}",
                          *self.answered.lines("hwnas_request_seconds", "From request to answer, of predictions made."),
                          *self.inferred.lines("hwnas_inference_seconds", "Decoding and model, in the worker."), ""])

    def _counters(self) -> Iterator[str]:
        yield from _head("hwnas_requests_total", "counter", "Answers by path and status.")
        for (path, status), count in sorted(self._requests.items()):
            yield f'hwnas_requests_total{{path="{path}",status="{status}"}} {count}'
        yield from _head("hwnas_errors_total", "counter", "What went wrong, by kind.")
        for kind, count in sorted(self._errors.items()):
            yield f'hwnas_errors_total{{kind="{kind}"}} {count}'


def kind_of(status: int) -> str:
    """The kind of error that a status of HTTP stands for."""
    known = {401: "token", 408: "slow", 413: "too_large", 499: "gone", 503: "overloaded"}
    return known.get(status, "request" if status < 500 else "server")


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
