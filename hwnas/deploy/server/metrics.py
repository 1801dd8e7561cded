"""Figures of a server for Prometheus, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OTHER = "other"
KINDS = {401: "token", 408: "slow", 413: "too_large", 414: "too_large", 431: "too_large", 499: "gone",
         503: "overloaded"}


class Metrics:
    """What a server counts.

    Args:
        paths: that have a counter of their own; all others share one, so that clients cannot make any number of them.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every first one, which nobody plots
        self._paths, self._registry = paths, CollectorRegistry()
        self._requests = Counter("hwnas_requests", "Answers by path and status.", ("path", "status"),
                                 registry=self._registry)
        self._errors = Counter("hwnas_errors", "What went wrong, by kind.", ("kind",), registry=self._registry)
        self._waiting = Gauge("hwnas_queue_length", "Predictions that wait.", registry=self._registry)
        self._answered = Histogram("hwnas_request_seconds", "From request to answer, of predictions made.",
                                   buckets=BOUNDS_S, registry=self._registry)
        self._inferred = Histogram("hwnas_inference_seconds", "Decoding and model, in the worker.", buckets=BOUNDS_S,
                                   registry=self._registry)

    @property
    def answered(self) -> Callable[[float], None]:
        """Told the seconds from a request to its answer."""
        return self._answered.observe

    @property
    def inferred(self) -> Callable[[float], None]:
        """Told the seconds that the worker took."""
        return self._inferred.observe

    def request(self, path: str, status: int) -> None:
        """Count an answer."""
        self._requests.labels(path if path in self._paths else OTHER, str(status)).inc()
        if status >= 400:
            self.error(kind_of(status))

    def error(self, kind: str) -> None:
        """Count something that went wrong."""
        self._errors.labels(kind).inc()

    def text(self, waiting: int) -> bytes:
        """The page.

        Args:
            waiting: predictions in the queue.
        """
        self._waiting.set(waiting)
        return generate_latest(self._registry)


def kind_of(status: int) -> str:
    """The kind of error that a status of HTTP stands for."""
    return KINDS.get(status, "request" if status < 500 else "server")
