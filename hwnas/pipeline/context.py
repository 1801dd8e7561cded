"""What the stages of one run share: its configuration and folder, and what follows from them, made when asked for.

Nothing here decides anything: a context of a killed run is the same as that of the run before.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from hwnas import launch
from hwnas.data.labelled import LabelledData
from hwnas.data.reading import Reading
from hwnas.data.recipe import Recipe, stored_recipe
from hwnas.documents import read_json
from hwnas.errors import RunError, UsageError
from hwnas.latency import LatencyModel
from hwnas.nets import Network
from hwnas.pipeline.beside import Beside
from hwnas.pipeline.config.budget import Budget, Wanted, parse_all
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.make_config import BY_GRADIENTS
from hwnas.pipeline.latencies.latency_sources import cannot_be_here, targets_of
from hwnas.pipeline.latencies.spending import asked_of, check_measurable
from hwnas.pipeline.leading import ALONE, Lead
from hwnas.pipeline.own_code import OwnCodeChanged, loss_of, own_code
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import DataResult, GenerateResult, ProfileResult, StageResult, TrainedResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.queries import feasible
from hwnas.pipeline.side_by_side import done
from hwnas.pipeline.task_setup import (
    load_data,
    reading_of,
    recipe_of,
    sizes_of,
    space_for_data,
    spaces_of,
    training_of,
    widths_of,
)
from hwnas.pipeline.tracked import name_of, tracking_of
from hwnas.progress import Progress, silent
from hwnas.search.config import SearchConfig
from hwnas.search.resumable import SearchResult, load
from hwnas.space import FULL, Architecture, Space, Variant
from hwnas.space.find import is_file
from hwnas.target import MIXED, NetworkPrecision, Target
from hwnas.tasks import find
from hwnas.tracking.record import NOTHING, Tracking
from hwnas.tracking.tracker import Curve
from hwnas.train import Accelerator, History, TrainConfig, Workload
from hwnas.train.checkpoint import load_into, save_tensors
from hwnas.train.evaluate import outputs_of

if TYPE_CHECKING:
    from hwnas.pipeline.stages.stage import Stage

Trained = TypeVar("Trained", bound=TrainedResult)


def search_config_of(config: CompressConfig, space: Space, training: TrainConfig) -> SearchConfig:
    """How the search of a configuration goes in a space."""
    asked = config.search
    return SearchConfig(
        mode=asked.mode, training=asked.schedule, warmup=asked.warmup, cycles=asked.cycles,
        keep=min(asked.keep, max(2, max(space.sizes) - 1)), epochs_per_evaluation=asked.epochs_per_evaluation,
        settle=asked.settle, train=training, widths=widths_of(config), sizes=sizes_of(config, space),
        strategy=asked.strategy, evaluator=asked.evaluator, reduce=asked.reduce, searcher=asked.searcher,
        evaluations=asked.evaluations, executor=asked.executor, workers=asked.workers,
        evaluation_epochs=asked.evaluation_epochs, evaluation_table=asked.evaluation_table, bn_scope=asked.bn_scope,
        cost_target=asked.cost_target)


@dataclass(frozen=True)
class RunContext:
    """One compress as its stages see it.

    Args:
        run: the folder.
        progress: told how far a stage is.
        parent: of the run for several budgets that this one is a branch of, with the same data; None where it is none.
        lead: calls the other processes that were started to what is done together.
        beside: does another stage at the same time, where that pays; None where nobody does.
        teller: is told in place of the trackers of the run; None for those.
    """

    run: RunFolder
    progress: Progress = silent
    parent: RunContext | None = None
    lead: Lead = ALONE
    beside: Beside | None = None
    teller: Tracking | None = None

    @property
    def config(self) -> CompressConfig:
        """As it was asked for, with the epochs that stage data planned where a time was given."""
        asked = self.run.state.config
        found = None if asked.train.time is None else self.run.found_if_done(DataResult)
        return asked if found is None or found.planned is None else asked.replaced(**found.planned.options)

    @cached_property
    def targets(self) -> dict[NetworkPrecision, Target]:
        """Precision -> target, in every precision that may ship; the first is fp32 or the only one."""
        return {target.precision: target for target in targets_of(self.config)}

    @property
    def target(self) -> Target:
        """In the precision that ships; before that is known, in the first."""
        shipped = self.run.found_if_done(GenerateResult)
        return self.target_in(shipped.precision if shipped is not None else self.run.lane().precision)

    @cached_property
    def mixed_target(self) -> Target:
        """The target for networks whose positions have several precisions."""
        return next(iter(self.targets.values())).model_copy(update={"precision": MIXED})

    def target_in(self, precision: str) -> Target:
        """The target in a precision that may ship."""
        return self.mixed_target if precision == MIXED else self.targets[cast(NetworkPrecision, precision)]

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        return parse_all(self.config.budgets)

    @cached_property
    def dataset(self) -> LabelledData:
        if self.parent is not None:
            return self.parent.dataset  # its images are decoded already
        before, place = self.run.found_if_done(DataResult), Path(self.config.data.source)
        if before is not None and place.is_absolute() and not place.exists():
            raise RunError(f"the images of {self.run.path} were at {place}, and nothing is there: move them back, or "
                           "make a link there")
        found = load_data(self.config, self.progress, self._size_of_file)
        if before is not None and before.fingerprint != found.fingerprint_like(before.fingerprint):
            raise UsageError(f"the images of {self.config.data.source} changed since this run began: start a new run")
        return found

    @property
    def _size_of_file(self) -> tuple[int, int] | None:
        """The size that images take because a space of a file has it; None where data or config decide."""
        known = self.known_space if self.config.data.imgsz is None and is_file(self.config.space.name) else None
        return None if known is None else known.config.size

    @cached_property
    def known_space(self) -> Space | None:
        """What stage data found, as run.json holds it: whoever made it need not be here any more."""
        return self.run.space if "data" in self.run.state.stages else None

    @cached_property
    def space(self) -> Space:
        return self.known_space or space_for_data(self.config, self.dataset)

    @cached_property
    def spaces(self) -> dict[Variant, Space]:
        """Variant -> space, all channels and pixels first."""
        return spaces_of(self.config, self.space)

    @cached_property
    def accelerator(self) -> Accelerator:
        """Where networks are trained.

        Raises:
            UsageError: torch does not find it.
            RunError: the processes that were started do not find one another.
        """
        if self.parent is not None:
            return self.parent.accelerator
        asked = self.config.train
        return Accelerator.find(asked.accelerator, asked.amp, compiles=asked.compile)

    @cached_property
    def reading(self) -> Reading:
        """How images are read.

        Raises:
            UsageError: as `accelerator`.
        """
        asked = self.config.data if self.parent is None else self.parent.config.data
        return reading_of(asked, gpu=self.accelerator.device.type != "cpu")

    def check(self) -> None:
        """Before anything is done: whether there is what networks are trained on.

        Raises:
            UsageError: as `accelerator`, a search that several processes cannot make, or a budget on what this machine
                cannot measure.
        """
        self._check_processes()
        first = next(iter(self.targets.values()))
        check_measurable(asked_of(each.wanted for each in self.config.on_first), first, cannot_be_here(first) is None)
        before = self.run.found_if_done(DataResult)
        began = before.code if before is not None else {}
        now = own_code(self.config, self.recipe) if began else {}
        for name, digest in began.items():
            if now.get(name) != digest:
                warnings.warn(f"the code of {name} changed since this run began: what is trained from here on follows "
                              "the new code; start a new run to have one for all", OwnCodeChanged, stacklevel=2)

    def of_branch(self, run: RunFolder) -> RunContext:
        """The same for the run of one of several budgets."""
        return replace(self, run=run, parent=self)

    @property
    def together(self) -> tuple[RunFolder, ...]:
        """Runs of the other targets that the same network is for; none where every target has its own."""
        if self.parent is None or not self.parent.config.target.one_model:
            return ()
        return tuple(RunFolder.open(branch.path) for branch in self.parent.run.branches
                     if branch.path != self.run.path)

    @property
    def give_up(self) -> float:
        """Predicted score in percent points that may be given up for room below the latency budgets of all targets."""
        return 0.0 if self.parent is None else self.parent.config.target.give_up

    def check_wanted(self, wanted: Wanted) -> None:
        """Raises BudgetInfeasible where the search knows that no network is within some budgets."""
        feasible([ArchitectureSolver.all_of_run(self.run, precision) for precision in self.run.precisions], wanted)

    def doing(self, stage: Stage[Any]) -> AbstractContextManager[None]:
        """Inside the block a stage is done, by all processes that were started or by this one alone."""
        parent = self.parent.run.path if self.parent is not None else None
        return self.lead.doing(stage.name, self.run.path, parent, self.accelerator, together=stage.together)

    def perform(self, stage: Stage[Any], following: Sequence[Stage[Any]], hook: Callable[[str, str, float], None]
                ) -> tuple[StageResult, float]:
        """Do a stage, or wait for what was begun beside the one before it: `hwnas.pipeline.side_by_side.done`."""
        return done(self, stage, following, hook)

    def take_threads(self) -> None:
        """Let torch have the threads of the configuration; as many as it has where that says nothing."""
        torch.set_num_threads(self.config.train.torch_threads or torch.get_num_threads())

    @property
    def shares(self) -> int:
        """Among how many trainings threads are divided where neither needs the other, as stage data decided.

        Whether they are made at the same time does not matter: the bits of a training depend on its threads.
        """
        found = self.run.found_if_done(DataResult)
        return 1 if found is None else found.shares

    @property
    def side_by_side(self) -> bool:
        """Whether they are made at the same time."""
        asked = self.config.train.side_by_side
        return self.beside is not None and launch.world() == 1 and (self.shares > 1 if asked is None else asked)

    def begin_beside(self, work: str, **order: object) -> None:
        """Have something done of this run at the same time, with a share of the threads: `hwnas.pipeline.helping`.

        Raises:
            HwnasError: as `hwnas.pipeline.beside.Beside.begin`.
        """
        assert self.beside is not None, "side_by_side says whether it can be"
        with self.threads(shared=True):
            count = torch.get_num_threads()
        above = None if self.parent is None else str(self.parent.run.path.absolute())
        given = {"run": str(self.run.path.absolute()), "parent": above, "threads": count,
                 "workers": self.reading.halved.workers}
        self.beside.begin(work, given | order, self.tracking.metrics)

    @contextlib.contextmanager
    def threads(self, *, shared: bool) -> Iterator[None]:
        """Inside the block torch has a share of its threads, or all of them."""
        every = torch.get_num_threads()
        torch.set_num_threads(max(1, every // self.shares) if shared else every)
        try:
            yield
        finally:
            torch.set_num_threads(every)

    def _check_processes(self) -> None:
        if (world := self.accelerator.world) == 1:
            return
        search = self.config.search
        if self.config.train.side_by_side:
            raise UsageError(f"{world} processes train together, so none is left to train beside them: leave out "
                             "--side-by-side, or start the run without torchrun")
        if (search.executor or "inline") != "inline" or search.workers > 1:
            raise UsageError(f"{world} processes train together, so they cannot start others that evaluate: leave out "
                             "--executor and --search-workers, or start the run without torchrun")
        if search.searcher in BY_GRADIENTS:
            raise UsageError(f"the searcher {search.searcher} is for one process: start the run without torchrun, or "
                             "take another searcher")

    @cached_property
    def recipe(self) -> Recipe:
        """How networks are trained that are trained alone: as stage data found it."""
        before = self.run.found_if_done(DataResult)
        return recipe_of(self.config, self.dataset) if before is None else stored_recipe(before.recipe)

    @cached_property
    def tracking(self) -> Tracking:
        """Who is told of curves, numbers and files; of several processes the first tells."""
        if self.teller is not None or not self.accelerator.leads:
            return self.teller or NOTHING
        whole = self.parent.run if self.parent is not None else self.run if self.run.branches else None
        return tracking_of(self.run, whole.path.name if whole is not None else "", part=self.parent is not None)

    def curve(self, stage: str) -> Curve:
        """Where the points of a stage go."""
        return self.tracking.curve(name_of(self.run, stage))

    @cached_property
    def workload(self) -> Workload:
        """The task with the data: what is learnt."""
        return self._workload(self.dataset, self.space) if self.parent is None else self.parent.workload

    @cached_property
    def smaller(self) -> dict[int, Workload]:
        """Height -> the same with smaller images, which are decoded anew and not made of the larger ones."""
        if self.parent is not None:
            return self.parent.smaller
        found = {v.imgsz: space for v, space in self.spaces.items() if v.imgsz}
        return {imgsz: self._workload(load_data(self.config, self.progress, space.config.size), space)
                for imgsz, space in found.items()}

    @property
    def searched_workload(self) -> Workload:
        """The workload as a search sees it: with the recipe `small`, see `hwnas.data.recipe`, and the user's loss."""
        return self.workload.with_recipe(self._searched_recipe)

    @property
    def _searched_recipe(self) -> Recipe:
        return Recipe(loss=loss_of(self.config, self.dataset.classes))

    @property
    def searched_smaller(self) -> dict[int, Workload]:
        """`smaller`, alike."""
        return {imgsz: workload.with_recipe(self._searched_recipe) for imgsz, workload in self.smaller.items()}

    def _workload(self, data: LabelledData, space: Space) -> Workload:
        return Workload.over(find(self.config.task), data, space, self.accelerator, self.recipe,
                             self.config.train.metric or "")

    @property
    def task(self) -> Workload:
        """`workload` under its name of before, for one version more."""
        warnings.warn("RunContext.task is now RunContext.workload", DeprecationWarning, stacklevel=2)
        return self.workload

    def workload_of(self, space: Space) -> Workload:
        """The workload with images of the size that networks of `space` take."""
        return self.workload if space.config.size == self.space.config.size else self.smaller[space.config.imgsz]

    @cached_property
    def training(self) -> TrainConfig:
        """Of networks that are trained alone."""
        return TrainConfig(**training_of(self.config, self.recipe))

    @cached_property
    def search_config(self) -> SearchConfig:
        return search_config_of(self.config, self.space, replace(
            TrainConfig(**training_of(self.config, Recipe())), patience=0))

    @cached_property
    def searched(self) -> SearchResult:
        return load(self.space, self.searched_workload, self.search_config, folder=self.run.path,
                    seed=self.config.seed, smaller=self.searched_smaller)

    @cached_property
    def reference(self) -> Network:
        return self.network_of(self.space.reference, self.run.path / "reference.safetensors")

    def reference_at(self, space: Space) -> Network:
        """The reference for images of the size that networks of `space` take, which it teaches."""
        if space.config.size == self.space.config.size:
            return self.reference
        smaller = self.spaces[Variant(imgsz=space.config.imgsz)]
        return self.network_of(smaller.reference, self.run.path / "reference.safetensors")

    @property
    def architecture(self) -> Architecture:
        chosen = self.run.found(GenerateResult)
        return self.spaces[Variant.read(chosen.variant)].architecture(chosen.choice)

    def latency(self, precision: str, arch: Architecture) -> LatencyModel | None:
        """The latency model of a precision, for an architecture of any variant; None if the run has none."""
        lane = self.run.found(ProfileResult).lane(precision)
        if lane is None:
            return None
        keys = {space.config: variant.key for variant, space in self.spaces.items()}
        files = {FULL.key: lane.file, **lane.variants}
        return LatencyModel.from_json(read_json(self.run.path / files[keys[arch.space.config]]))

    def same_network(self) -> RunFolder | None:
        """Another budget's run with the same result, fine-tuned already; None where there is none."""
        chosen = self.run.found(GenerateResult)
        for branch in self.parent.run.branches if self.parent is not None else ():
            if branch.path == self.run.path or not (branch.path / "run.json").is_file():
                continue
            other = RunFolder.open(branch.path)
            theirs = other.found_if_done(GenerateResult)
            if theirs is not None and (theirs.choice, theirs.variant) == (chosen.choice, chosen.variant) \
                    and other.done("finetune"):
                return other
        return None

    def starts_from(self, stage: str, name: str) -> Path | None:
        """A file of the run that this one starts from (`init`); None where it starts from nothing."""
        if self.config.train.init is None:
            return None
        other = RunFolder.open(Path(self.config.train.init))
        other.check_file(stage, name)
        return other.path / name

    def trained(self, result: type[Trained], history: History, net: Network, workload: Workload) -> Trained:
        """What is said of a network that was trained: its score on the validation images, and how it got there."""
        found = workload.metric.breakdown(outputs_of(net, workload.val_images), self.dataset.classes)
        return result.model_validate({
            "score": history.score, "metric": workload.metric.name, "standing": found.standing.to_json(),
            "epochs": [e.to_json() for e in history.epochs]})

    def new_network(self, arch: Architecture) -> Network:
        """`arch` with random weights, normalising as the data asks for."""
        net = Network(arch, self.dataset.mean.tolist(), self.dataset.std.tolist())
        self.workload.prepare(net)
        return self.accelerator.placed(net.to(memory_format=torch.channels_last))  # type: ignore[call-overload, no-any-return]

    def network_of(self, arch: Architecture, path: Path) -> Network:
        """`arch` with the weights stored at `path`, in eval mode."""
        net = self.new_network(arch)
        load_into(net, path)
        return net.eval()

    def save_network(self, net: Network, name: str) -> None:
        """Weights and architecture as a file of the run folder, written by the process that leads."""
        if not self.accelerator.leads:
            return
        save_tensors(self.run.path / name, dict(net.state_dict()), {"architecture": net.arch.to_json()})
