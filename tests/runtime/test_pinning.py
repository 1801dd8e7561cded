import os
import threading
from collections.abc import Iterator

import pytest

from hwnas.errors import UsageError
from hwnas.runtime.pinning import pinned

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")


@pytest.fixture
def worker() -> Iterator[threading.Thread]:
    """A thread that is there before the block."""
    done, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (ready.set(), done.wait()))
    thread.start()
    ready.wait()
    yield thread
    done.set()
    thread.join()


def test_all_threads_are_moved_and_come_back(worker: threading.Thread) -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    assert worker.native_id is not None
    with pinned((core,)):
        assert os.sched_getaffinity(0) == {core}
        assert os.sched_getaffinity(worker.native_id) == {core}
    assert os.sched_getaffinity(0) == before
    assert os.sched_getaffinity(worker.native_id) == before


def test_threads_started_inside_inherit_and_are_let_go() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    seen: list[set[int]] = []
    done, ready = threading.Event(), threading.Event()

    def work() -> None:
        seen.append(os.sched_getaffinity(0))
        ready.set()
        done.wait()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    with pinned([core]):
        thread.start()
        ready.wait()
    done.set()
    thread.join()
    assert seen == [{core}, before]


def test_an_error_inside_restores_too() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), pinned((min(before),)):
        raise KeyError
    assert os.sched_getaffinity(0) == before


def test_none_changes_nothing() -> None:
    before = os.sched_getaffinity(0)
    with pinned(None):
        assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("cores", [(), (4096,), (-1,)])
def test_cores_that_it_may_not_use(cores: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="cores must be among"), pinned(cores):
        pass


def test_a_system_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(UsageError, match="cannot pin"), pinned((0,)):
        pass
