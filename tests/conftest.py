"""Settings of all tests."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports torch or numpy: on the small tensors of these tests a second thread takes a third more
# processor time and gives it back to nobody, and pytest-xdist has a process a core already.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The tests keep all cores busy, so none of them waits for a calm one.
os.environ.setdefault("HWNAS_PATIENCE", "0")

# Processes of tests would each compile what they import of this checkout, where the environment says to keep nothing.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine must not fail a test that asserts nothing about time, and the same examples are tried every time: what
# fails is what was changed. HWNAS_FUZZ=1000 tries as many others (tests/mutations.py).
settings.register_profile("hwnas", deadline=None, derandomize="HWNAS_FUZZ" not in os.environ,
                          max_examples=int(os.environ.get("HWNAS_FUZZ", "50")))
settings.load_profile("hwnas")

ROOT = Path(__file__).parents[1]
SLOWEST_FIRST = (
    "tests/docs/test_code_blocks.py", "tests/test_golden.py", "tests/cli/test_several_processes.py",
    "tests/pipeline/test_variants.py", "tests/pipeline/test_tracked.py", "tests/pipeline/test_tasks.py",
    "tests/pipeline/test_several_budgets.py", "tests/deploy/test_serve.py", "tests/pipeline/test_precision.py",
    "tests/cli/test_compress.py", "tests/train/test_large.py", "tests/pipeline/test_compress.py",
    "tests/cli/test_several_budgets.py", "tests/search/test_contract.py", "tests/latency/test_table_writes.py",
    "tests/kinds/test_package.py", "tests/pipeline/test_multilabel.py", "tests/pipeline/test_own_task.py",
    "tests/train/test_ranks.py", "tests/train/test_accelerator.py", "tests/pipeline/test_old_runs.py",
    "tests/pipeline/test_own_spaces.py", "tests/deploy/test_run.py", "tests/docs/test_site.py",
    "tests/pipeline/test_search_roles.py", "tests/pipeline/test_predict.py", "tests/cli/test_ending.py",
    "tests/test_examples.py", "tests/test_packaging.py",
)
"""What takes longest comes first, so that no worker is alone with it at the end (`--dist loadfile`)."""
BRIEFLY = 4.0
"""Seconds at most that a table of the tests is timed for, where a user's takes a minute: none asks how exact it is."""


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist would have files with many tests first, however short
    if getattr(config.option, "maxworkerrestart", "") is None:
        config.option.maxworkerrestart = "0"  # it hands out what a lost worker had done anew, and then waits for ever


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With --durations, seconds by folder and by file, too: what `SLOWEST_FIRST` is to say, and where time goes."""
    if not (most := config.option.durations):
        return
    files: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                files[report.nodeid.partition("::")[0]] += report.duration
    folders: Counter[str] = Counter()
    for name, seconds in files.items():
        folders["/".join(name.split("/")[:2])] += seconds
    for title, found in (("folders", folders), (f"slowest {most} files", files)):
        terminalreporter.section(f"seconds of {title}")
        for name, seconds in found.most_common(most):
            terminalreporter.write_line(f"{seconds:7.1f} {name}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """torch seeds itself by chance: without this, a test that seeds nothing has other numbers in every session."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {ROOT / name: place for place, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Libraries and processes make their temporary files in a folder that goes with the session."""
    tmp_path_factory.getbasetemp()  # pytest's own stays where it is
    folder = tempfile.mkdtemp(prefix="hwnas-tests-")  # of a short name: sockets lie in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def no_shipped_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whether a table ships for the machine that runs the tests must change none of them."""
    empty = tmp_path_factory.mktemp("no_tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_SHIPPED_TABLES", str(empty))  # of processes of their own, too
        yield


@pytest.fixture(scope="session", autouse=True)
def tables_are_timed_briefly() -> Iterator[None]:
    """Every compress in this process times what its table lacks for seconds; a test that needs better asks for it."""
    from hwnas.pipeline.latencies.latency_sources import measured
    from hwnas.profile.changes import measure_changes

    with pytest.MonkeyPatch.context() as patch:
        for timing in (measured, measure_changes):
            patch.setattr(timing, "__kwdefaults__", {**(timing.__kwdefaults__ or {}), "max_seconds": BRIEFLY})
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_is_measured_that_nobody_asked_for() -> Iterator[None]:
    """What a report tells of memory, energy and tails takes two processes a run; a test that asks has a budget."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwnas.pipeline.latencies.spending.BESIDES", ())
        yield


@pytest.fixture(scope="session", autouse=True)
def the_same_network_is_exported_once() -> Iterator[None]:
    """Many runs of the tests have the same reference. Who tests that exporting again gives the same forgets first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwnas.export.onnx_export.KEPT", 64)
        yield


@pytest.fixture
def nothing_was_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test exports is exported, though it may have been before."""
    monkeypatch.setattr("hwnas.export.onnx_export._graphs", {})


@pytest.fixture(scope="session", autouse=True)
def torch_lists_onnx_operators_once() -> Iterator[None]:
    """torch lists them anew for every export, which is a third of what exporting a small network takes."""
    with pytest.MonkeyPatch.context() as patch:
        if "torch" in sys.modules:
            with contextlib.suppress(ImportError):
                from torch.onnx._internal.exporter._registration import ONNXRegistry

                once = functools.cache(ONNXRegistry.from_torchlib)
                patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        yield
