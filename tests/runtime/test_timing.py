import itertools
import time

import numpy as np
import pytest
from onnx import TensorProto, helper

from hwnas.runtime import Measurement, Session, Timer, compare, measure_latency, open_runtime, time_session


def matmul_session(n: int) -> Session:
    """n x n by n x n."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, (n, n), np.full((n, n), 0.01, np.float32).tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (n, n))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (n, n))], [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return open_runtime("onnxruntime").load(model.SerializeToString())


def test_one_thread_is_timed_by_processor_time() -> None:
    assert Timer(threads=1)(lambda: time.sleep(0.05)) < 40  # asleep costs no processor time


def test_several_threads_are_timed_by_the_wall() -> None:
    assert Timer(threads=2)(lambda: time.sleep(0.05)) >= 49


def test_visit_times_only_what_it_should() -> None:
    session = matmul_session(8)
    times = time_session(session, session.example(), warmup=3, timed=4)
    assert len(times) == 4
    assert min(times) > 0


def test_measurement_quantiles() -> None:
    found = Measurement.of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.median_ms, found.runs) == (3.0, 5)
    assert found.p10_ms == pytest.approx(1.4)
    assert found.p90_ms == pytest.approx(4.6)
    assert found.to_json()["median_ms"] == 3.0


def test_latency_takes_the_time_and_the_visits_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        clock = itertools.count()  # every visit takes a second
        patch.setattr(time, "perf_counter", lambda: next(clock))
        found = measure_latency(matmul_session(8), visits=5, timed=2, min_seconds=20)
    assert 2 <= found.runs <= 2 * 20  # of visits that met a busy machine none counts
    assert measure_latency(matmul_session(8), visits=5, timed=2, min_seconds=0).runs >= 10
    assert 0 < found.p10_ms <= found.median_ms <= found.p90_ms


def test_latency_stops_at_the_time_limit() -> None:
    assert measure_latency(
        matmul_session(256), visits=10**6, timed=1, min_seconds=100, max_seconds=0.2
    ).runs < 10**6


def test_comparison_orders_networks_of_very_different_size() -> None:
    seen: list[tuple[int, int]] = []
    found = compare(
        {"small": matmul_session(16), "large": matmul_session(256)}, sweeps=4, timed=3,
        progress=lambda what, done, total: seen.append((done, total)),
    )
    assert list(found) == ["small", "large"]
    assert min(m.runs for m in found.values()) >= 12
    assert found["large"].median_ms > 3 * found["small"].median_ms  # 4096 times the work
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
