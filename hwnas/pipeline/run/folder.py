"""A run folder: everything one compress made, enough to resume it and to reproduce it.

run.json holds the configuration, the versions, the state of every stage and the hash of every file a stage made. It
carries a hash of itself, and the files are checked against theirs, so that a run that was edited says so instead of
giving a wrong answer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from hwnas.documents import read_json
from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.files import appearing, sha256, write_json
from hwnas.pipeline.commands import resume_command
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.display.fact_table import Facts, facts_html, facts_text
from hwnas.pipeline.run.branches import Branch, branches_of, one_of
from hwnas.pipeline.run.own_results import OWN_RESULTS, ReadResult, UnitsResult, limits_of
from hwnas.pipeline.run.own_scores import add_scores, holding, scores_in
from hwnas.pipeline.run.read_result import read_result
from hwnas.pipeline.run.result_parts import LaneResult
from hwnas.pipeline.run.results import RESULTS, DataResult, Found, ProfileResult, StageResult
from hwnas.pipeline.run.state import RunState, StageRecord, digest, versions
from hwnas.space import Space, SpaceConfig, build
from hwnas.target import MIXED
from hwnas.validation import checked

SEARCHED = ("data", "profile", "reference", "search")  # what another budget can start from
OWN_SHARED = ("read", "fit", "units", "score")  # the same of a user's own network
OF_TARGET = ("profile", "units", "score")  # of these, what another target has of its own
LOCK = ".lock"
STAGES = tuple(result.stage for result in RESULTS)
OWN_STAGES = tuple(result.stage for result in OWN_RESULTS)


def check_free(path: Path) -> None:
    """Raises UsageError where a folder holds a run already, or is not empty."""
    if (path / "run.json").exists():
        raise UsageError(f"{path} holds a run already: go on with `{resume_command(path)}`, or choose another --out")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and is not an empty folder: choose another --out")


class RunFolder:
    """One run on disk.

    Args:
        path: the folder.
        state: content of run.json.
    """

    describe: ClassVar[Callable[[RunFolder], Facts]] = staticmethod(lambda run: ())
    """What a run shows of itself; the package `hwnas.pipeline` puts there what knows results and reports."""

    def __init__(self, path: Path, state: RunState) -> None:
        self.path, self.state = path, state
        self._read: dict[str, tuple[dict[str, Any], StageResult]] = {}  # per stage, as it stands there and typed

    def __repr__(self) -> str:
        return facts_text(self.path, RunFolder.describe(self))

    def _repr_html_(self) -> str:
        return facts_html(self.path, RunFolder.describe(self))

    @classmethod
    def create(cls, path: Path, config: CompressConfig) -> RunFolder:
        """A new run.

        Raises:
            UsageError: the folder holds a run already, or is not empty.
        """
        check_free(path)
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        run = cls(path, RunState(config=config.anchored(), versions=versions(), created=now))
        run.save()
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            RunError: no run there, another schema, or run.json was edited.
        """
        file = path / "run.json"
        if not file.is_file():
            raise RunError(f"{path} is not a run folder: it has no run.json")
        raw = read_json(file, error=RunError)
        state = checked(RunState, raw, f"{file} is not a run of this version of hwnas", RunError)
        for stage, record in state.stages.items():
            read_result(stage, record.result, str(file))
        if state.integrity != digest(raw):
            raise RunError(f"{file} was edited after hwnas wrote it (its hash differs): restore it or start a new run")
        return cls(path, state)

    def reread(self) -> None:
        """Take in what another process wrote since.

        Raises:
            RunError: as `open`.
        """
        self.state = RunFolder.open(self.path).state

    def branch(self, path: Path, config: CompressConfig, target: Mapping[str, Any] | None = None) -> RunFolder:
        """A new run that starts from what this one made for all budgets: `shared`.

        Of a search those are data, table, reference and distribution, of a user's own network its units with their
        forms, times and losses.

        Args:
            target: another one, as `hwnas.pipeline.run.results.described` gives it; what depends on it is done anew,
                `OF_TARGET`, except for losses that hold there as well.

        It appears whole or not at all.

        Raises:
            RunError: a shared stage is not finished or its files were changed.
            UsageError: `path` is taken.
            InputError: it cannot be written.
        """
        self.check_shared(target is not None)
        check_free(path)
        with appearing(path) as beside:
            state = self._branched(beside, config, target)
        return RunFolder(path, state)

    def check_shared(self, elsewhere: bool = False) -> None:
        """Raises RunError unless all is done and whole that another run, or one for another target, starts from."""
        for stage in self.taken_over(elsewhere):
            if not self.done(stage):
                raise RunError(f"{self.path} has not finished stage {stage}: `{resume_command(self.path)}`")

    def _branched(self, path: Path, config: CompressConfig, target: Mapping[str, Any] | None) -> RunState:
        """Write a branch into an empty folder; its state."""
        run = RunFolder.create(path, config)
        for stage in self.taken_over(target is not None):
            record = self.state.stages[stage]
            if stage == "data":
                other = {"budgets": dict(config.budgets)} | ({"target": dict(target)} if target is not None else {})
                record = record.model_copy(update={"result": {**record.result, **other}})
            for name in record.files:
                _take_over(self.path / name, path / name)
            if stage == "profile":
                record = record.model_copy(update={"result": self.profile_for(config).to_json()})
            if stage in OWN_SHARED:
                record = record.model_copy(update={"result": self._own_for(stage, config, target).to_json()})
            run.state.stages[stage] = record
        if target is None:
            run.state.reference, run.state.spends = self.state.reference, dict(self.state.spends)
        elif self.state.config.model.source is not None:
            add_scores(path, holding(scores_in(self.path), self.found(ReadResult).target, target))
        run.save()
        return run.state

    def _own_for(self, stage: str, config: CompressConfig, target: Mapping[str, Any] | None) -> StageResult:
        """What a shared stage found of a user's own network, as a run for other budgets or another target has it."""
        if stage == ReadResult.stage:
            told = {"budgets": dict(config.budgets)} | ({"target": dict(target)} if target is not None else {})
            return self.found(ReadResult).model_copy(update=told)
        if stage == UnitsResult.stage:
            found = self.found(UnitsResult)
            return found.model_copy(update={"limits": limits_of(config.on_first, found.whole_ms)})
        return read_result(stage, self.result(stage), str(self.path / "run.json"))

    def profile_for(self, config: CompressConfig) -> ProfileResult:
        """What stage profile found, as another configuration has it for the same device."""
        found, other = self.found(ProfileResult), config.target.precision
        if other != self.state.config.target.precision:
            lanes = [lane for lane in found.lanes if other == MIXED or lane.precision == other]
            found = found.model_copy(update={"lanes": lanes, **({} if other == MIXED else {"mixed": {}})})
        if found.infeasible:
            found = found.model_copy(update={"infeasible": {}})
        reference = self.state.reference
        return found if reference is None else found.model_copy(update={"limits": reference.told(config.on_first)})

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of its stages in order: a user's own network goes through others than a search."""
        return STAGES if self.state.config.model.source is None else OWN_STAGES

    @property
    def model_stage(self) -> str:
        """The stage that leaves model.onnx, checked."""
        return "export" if self.state.config.model.source is None else "ship"

    @property
    def evidence(self) -> tuple[str, ...]:
        """Stages whose files the check of the model stands on: a user's own network is one of them."""
        return (self.model_stage,) if self.state.config.model.source is None else ("read", self.model_stage)

    @property
    def shared(self) -> tuple[str, ...]:
        """Stages that are done once for all budgets, and that another one can start from."""
        return SEARCHED if self.state.config.model.source is None else OWN_SHARED

    def taken_over(self, elsewhere: bool) -> tuple[str, ...]:
        """Stages that a run which starts from this one has from it; fewer where that is for another target."""
        return tuple(stage for stage in self.shared if not (elsewhere and stage in OF_TARGET))

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The networks of a run for several budgets; none of a run with one network."""
        return branches_of(self.path, self.state.config)

    def one_network(self) -> None:
        """Raises RunError where this is a run for several budgets, which has a network for each."""
        if branches := self.branches:
            raise RunError(one_of(self.path, branches))

    def save(self) -> None:
        """Write run.json, beside and renamed."""
        self.state.hwnas_run = 2  # a run of hwnas 0.1 is written in sections from now on
        self.state.integrity = digest(self.state.model_dump())
        write_json(self.path / "run.json", self.state.model_dump())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out.

        Raises:
            UsageError: another process works on this run.
            RunError: the folder cannot be written.
        """
        from filelock import FileLock, Timeout  # brings asyncio; a run is read without

        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as err:
            raise UsageError(f"another hwnas process works on {self.path}: wait for it or end it") from err
        except OSError as err:
            raise RunError(f"{self.path} cannot be written ({err.strerror}): make it writable, or copy it and go on "
                           f"with the copy: {resume_command(Path('COPY'))}") from err
        try:
            yield
        finally:
            lock.release()

    def done(self, stage: str) -> bool:
        """Whether a stage is finished and its files are as it left them.

        Raises:
            RunError: a file is missing or was changed.
        """
        record = self.state.stages.get(stage)
        if record is None:
            return False
        for name in record.files:
            self.check_file(stage, name)
        return True

    def check_file(self, stage: str, name: str) -> None:
        """Check one file of a finished stage against its hash.

        Raises:
            RunError: the file is missing or was changed, or the stage is not finished.
        """
        self.result(stage)
        file = self.path / name
        if not file.is_file():
            raise RunError(f"{file}, made by stage {stage}, is gone: restore it or start a new run")
        if sha256(file) != self.state.stages[stage].files.get(name):
            raise RunError(f"{file} was changed after stage {stage} made it: restore it or start a new run")

    @property
    def space(self) -> Space:
        """What stage data found, from run.json alone: the file or the module that it came from need not be there.

        Raises:
            RunError: stage data is not finished.
            InputError: it holds no space that this version can build.
        """
        return build(SpaceConfig.from_json(self.found(DataResult).space, f"{self.path / 'run.json'}: the space"))

    def found(self, result: type[Found]) -> Found:
        """What a finished stage found, e.g. `run.found(ExportResult).verdict.score`.

        Raises:
            RunError: the stage is not finished, or left something else.
        """
        given = self.result(result.stage)
        before = self._read.get(result.stage)
        if before is None or before[0] is not given:
            before = self._read[result.stage] = given, read_result(result.stage, given, str(self.path / "run.json"))
        assert isinstance(before[1], result)
        return before[1]

    def found_if_done(self, result: type[Found]) -> Found | None:
        """The same; None where the stage is not finished."""
        return self.found(result) if result.stage in self.state.stages else None

    def result(self, stage: str) -> dict[str, Any]:
        """What a finished stage found, as it stands in run.json.

        Raises:
            RunError: the stage is not finished.
        """
        record = self.state.stages.get(stage)
        if record is None:
            if stage not in self.stages:
                raise RunError(f"{self.path} is a run on a network of your own, and this is for the networks of a "
                               f"search: its result is {self.path / 'model.onnx'}")
            if stage not in self.shared:
                self.one_network()
            raise RunError(f"{self.path} has not finished stage {stage}: `{resume_command(self.path)}`")
        return record.result

    def lane(self, precision: str | None = None) -> LaneResult:
        """What stage profile left for one precision: the latency model's file, where it is from, ...

        Args:
            precision: None takes the one that ships; before that is known, the first. Of `mixed` it is the first, too.

        Raises:
            RunError: the stage is not finished.
            UnknownName: the run has no such precision.
        """
        found = self.found(ProfileResult)
        generated = self.state.stages.get("generate")
        shipped = generated.result.get("precision") if generated else None
        lane = found.lane(wanted := precision or shipped or found.lanes[0].precision)
        if wanted == MIXED and found.mixed:
            lane = found.lanes[0]  # of the same device and speed
        if lane is None:
            raise UnknownName("precision of this run", wanted, self.precisions)
        return lane

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the run has latencies of; raises RunError before stage profile is finished."""
        found = self.found(ProfileResult)
        return (*(lane.precision for lane in found.lanes), *([MIXED] if found.mixed else []))

    def finish(self, stage: str, result: StageResult | dict[str, Any], files: Iterable[str], seconds: float, *,
               beside: float = 0.0) -> None:
        """Record a finished stage.

        Args:
            result: what it found, or that as JSON.
            files: names of those that it made.
            seconds: how long it took; `beside` of them another stage was done, too, which counts them as its own.
        """
        hashes = {name: sha256(self.path / name) for name in files}
        kept = result.to_json() if isinstance(result, StageResult) else result
        self.state.stages[stage] = StageRecord(seconds=seconds, beside=beside, result=kept, files=hashes)
        self.save()

    def reopen(self, *stages: str) -> None:
        """Forget that stages were finished, so that they are done again."""
        for stage in stages:
            self.state.stages.pop(stage, None)
        self.save()


def _take_over(file: Path, copy: Path) -> None:
    """Put a file into another run; models take no room twice, as nobody writes into one in its place."""
    if file.suffix == ".onnx":
        with contextlib.suppress(OSError):
            os.link(file, copy)
            return
    shutil.copyfile(file, copy)
