"""What the stages of a run on a user's own network share; made when asked for, the same before and after a kill."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.reading import Reading
from hwnas.documents import read_json
from hwnas.errors import DataError
from hwnas.imaging.contract import InputContract
from hwnas.pipeline.config.budget import Budget, Wanted, parse_all
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.exported.inference import busy
from hwnas.pipeline.latencies.behind_ssh import ssh_device
from hwnas.pipeline.latencies.unit_precisions import UnitPrecisions, unit_precisions
from hwnas.pipeline.own_network.frozen import frozen_units
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import FitResult, ReadResult, UnitsResult
from hwnas.pipeline.run.results import StageResult
from hwnas.pipeline.tracked import tracking_of
from hwnas.progress import Progress, silent
from hwnas.quantize import variant_for
from hwnas.quantize.graph import parse
from hwnas.runtime import Device, LocalDevice, Measurement, Runtime, compare
from hwnas.runtime.pinning import pinned
from hwnas.surgery.assembler import Assembler, feeds_of
from hwnas.surgery.contract import read_contract
from hwnas.surgery.examples import Examples, examples_of
from hwnas.surgery.judging import Judge, Run
from hwnas.surgery.measuring import compared
from hwnas.surgery.plan import NONE, SPANNED, Option, Places, Plan, spans
from hwnas.surgery.reading import TrainedNetwork, read_network
from hwnas.surgery.splice import NOTHING, SPANNED_PART, Fragment
from hwnas.surgery.unit import Cut
from hwnas.surgery.unit_costs import UnitCosts
from hwnas.target import MIXED, Target
from hwnas.tracking.record import Tracking

if TYPE_CHECKING:
    from hwnas.pipeline.stages.stage import Stage

MOST_CALIBRATE, MOST_SCORE = 256, 256  # images
MOST_FIT = 2000
SMALLEST_SCORE = 4
FORM_FILE = "form-{unit}-{form}.onnx"


@dataclass(frozen=True)
class OwnContext:
    """One compress of a user's own network as its stages see it.

    Args:
        run: the folder.
        progress: told how far a stage is.
        parent: of the run for several budgets or targets that this one is a branch of, with the same network and
            images; None where it is none.
    """

    run: RunFolder
    progress: Progress = silent
    parent: OwnContext | None = None

    beside = None
    """Nothing is done in a second process."""

    @property
    def config(self) -> CompressConfig:
        """As it was asked for."""
        return self.run.state.config

    @cached_property
    def reading(self) -> Reading:
        """How images are read: in this process."""
        return Reading()

    @cached_property
    def tracking(self) -> Tracking:
        """Who is told of numbers and files."""
        whole = self.parent.run if self.parent is not None else self.run if self.run.branches else None
        return tracking_of(self.run, whole.path.name if whole is not None else "", part=self.parent is not None)

    def of_branch(self, run: RunFolder) -> OwnContext:
        """The same for the run of one of several budgets: what is read and judged is read and judged once."""
        return replace(self, run=run, parent=self)

    def check_wanted(self, wanted: Wanted) -> None:
        """Whether budgets can be met is found by stage plan."""

    def check(self) -> None:
        """Before anything is done: nothing can be wrong that a stage does not find at once."""

    @contextlib.contextmanager
    def doing(self, stage: Stage[Any]) -> Iterator[None]:
        """One process does it."""
        yield

    def perform(self, stage: Stage[Any], following: Sequence[Stage[Any]], hook: Callable[[str, str, float], None]
                ) -> tuple[StageResult, float]:
        """Do a stage, one after the other."""
        began = time.monotonic()
        hook(stage.name, "start", 0.0)
        return stage.run(self), time.monotonic() - began

    @cached_property
    def budget(self) -> Budget:
        """The one on the latency."""
        return parse_all(self.config.budgets)["latency"]

    @property
    def target(self) -> Target:
        """The device, in the precision that floats are computed in."""
        return self._formats.target

    @cached_property
    def _formats(self) -> UnitPrecisions:
        return unit_precisions(self.config)

    @property
    def precisions(self) -> tuple[str, ...]:
        """What a unit may be computed in: floats first."""
        return self._formats.units

    @cached_property
    def runtime(self) -> Runtime:
        """What runs plans, every unit in its precision."""
        return self._formats.runtime()

    @property
    def address(self) -> str | None:
        """Where the device is reached; None where it is this machine."""
        return self.config.device

    @cached_property
    def device(self) -> Device:
        """Where models are timed: the target, here or behind ssh."""
        above, lower = self.parent, len(self.precisions) > 1
        if above is not None and (above.address, above._formats) == (self.address, self._formats):
            return above.device
        if self.address is None:
            return LocalDevice(self.runtime, self.target.cores)
        target = self.target.model_copy(update={"precision": MIXED}) if lower else self.target
        return ssh_device(target, self.address, python=self.config.model.device_python, progress=self.progress)

    @cached_property
    def _of_same_numbers(self) -> OwnContext | None:
        """The one above, where it runs networks in the same runtime and formats: what is judged is judged once."""
        above = self.parent
        if above is None or above.precisions != self.precisions:
            return None
        same = all(getattr(above.target, field) == getattr(self.target, field) for field in ("runtime", "precision"))
        return above if same else None

    def timed(self, models: Mapping[str, bytes], sweeps: int) -> Mapping[str, Measurement]:
        """Latencies of several models on the device in one interleaved run.

        Raises:
            InputError: the device cannot be reached or cannot execute one.
        """
        if self.address is not None:
            return compared(self.device, models, sweeps, self.calm_kernel_ms, self.progress)
        sessions = {name: self.runtime.load(model) for name, model in models.items()}
        with pinned(self.target.cores):
            return compare(sessions, sweeps=sweeps, batch=self.target.batch, calm_kernel_ms=self.calm_kernel_ms,
                           progress=self.progress)

    @property
    def calm_kernel_ms(self) -> float:
        """What the reference kernel takes on the device when it is calm, as far as was known when units were timed."""
        return float(self.run.found(UnitsResult).facts.get("calm_kernel_ms", 0.0))

    def company(self, timed: Measurement) -> list[str]:
        """A sentence where a measurement found no calm machine for all its patience."""
        return busy(timed, self.calm_kernel_ms)

    @cached_property
    def contract(self) -> InputContract:
        """How an image becomes the input."""
        asked = self.config.model
        if asked.contract is not None:
            return read_contract(Path(asked.contract))
        assert asked.mean is not None  # held by `make_config`
        assert asked.std is not None
        return InputContract(asked.mean, asked.std, asked.colour, asked.layout, asked.fit, asked.crop)

    @cached_property
    def network(self) -> TrainedNetwork:
        """The user's network; from its file in the run folder, once it lies there."""
        if self.parent is not None:
            return self.parent.network
        size = None
        if self.config.data.imgsz is not None:
            size = self.config.data.imgsz, self.config.data.width or self.config.data.imgsz
        read = self.run.found_if_done(ReadResult)
        if read is None:
            return read_network(str(self.config.model.source), self.contract, size, self.target.batch)
        kept = read_network(str(self.run.path / "original.onnx"), self.contract, size, self.target.batch)
        return replace(kept, name=read.network)

    @cached_property
    def _parts(self) -> tuple[Examples, Examples, Examples, tuple[str, ...], Examples]:
        if self.parent is not None:
            return self.parent._parts
        fit, judge, classes = examples_of(self.config.data.source, self.contract, self.network.size, self.config.seed,
                                          self.config.data.limit)
        order = np.random.default_rng(self.config.seed).permutation(len(fit))
        calibrated = min(MOST_CALIBRATE, len(fit) // 2)
        scored = min(MOST_SCORE, len(fit) - calibrated)
        if scored < SMALLEST_SCORE:
            raise DataError(f"{self.config.data.source}: {len(fit)} images are too few to calibrate and to score with, "
                            "a few hundred are what it takes: give more")
        parts = (np.sort(order[:calibrated]), np.sort(order[calibrated:calibrated + scored]),
                 np.sort(np.concatenate([order[:calibrated], order[calibrated + scored:]])))
        first, second, third = (replace(fit, indices=fit.indices[p], labels=fit.labels[p]) for p in parts)
        return first, second, judge, classes, third

    @property
    def calibrated(self) -> Examples:
        """Images that int8 is calibrated on."""
        return self._parts[0]

    @cached_property
    def fitted(self) -> Examples:
        """Images that replacements are fitted on: all that neither score nor judge, up to a few thousand."""
        return self._parts[4].take(MOST_FIT, self.config.seed)

    @cached_property
    def tuned(self) -> Examples:
        """Images that the result is tuned on: all that neither score nor judge."""
        return self._parts[4].held()

    @cached_property
    def scored(self) -> Examples:
        """Images that options are scored on; none of those that calibrate."""
        return self._parts[1].held()

    @property
    def judged(self) -> Examples:
        """Images that judge the result and have decided nothing."""
        return self._parts[2]

    @property
    def classes(self) -> tuple[str, ...]:
        """Of labelled images, in order."""
        return self._parts[3]

    @cached_property
    def cut(self) -> Cut:
        """The network and its units."""
        return Cut.of(self.network.model) if self.parent is None else self.parent.cut

    @cached_property
    def places(self) -> Places:
        """What every place may be."""
        return Places.of(self.cut, self.precisions, frozenset(self.frozen), self._forms)

    @property
    def replaces(self) -> bool:
        """Whether units may be replaced, and not only lowered in their precision."""
        return not self.config.model.precision_only

    @cached_property
    def _forms(self) -> dict[str, tuple[str, ...]]:
        """Unit -> what may stand in its place, besides itself."""
        if not self.replaces:
            return {}
        fitted = self.run.found(FitResult).forms
        spanned = {self.cut.spans[unit] for unit, forms in fitted.items() if any(spans(Option(f)) for f in forms)}
        return {unit.name: (*([NONE] if unit.keeps_shape else []), *fitted.get(unit.name, ()),
                            *([SPANNED] if unit.name in spanned else []))
                for unit in self.cut.units if unit.name not in self.frozen}

    @cached_property
    def frozen(self) -> dict[str, str]:
        """Unit -> why it stays as it is: the user said so; raises UsageError for a pattern that matches nothing."""
        return frozen_units(self.cut, self.config.model.keep, self.config.model.only)

    @cached_property
    def _assembler(self) -> Assembler:
        if self._of_same_numbers is not None:
            return self._of_same_numbers._assembler
        feeds = feeds_of(self.network.input_name, self.calibrated.batches(32))
        return Assembler(self.cut, feeds, variant_for(self.target.runtime), batch=self.target.batch)

    @property
    def assembler(self) -> Assembler:
        """Makes models of plans; of forms, too, once they are fitted."""
        found = self._assembler
        if not found.forms and "fit" in self.run.state.stages:
            found.forms.update({(unit, form): self._fragment(unit, form)
                                for unit, forms in self._forms.items() for form in forms})
        return found

    def _fragment(self, unit: str, form: str) -> Fragment:
        if form in (NONE, SPANNED):
            return NOTHING if form == NONE else SPANNED_PART
        model = parse((self.run.path / FORM_FILE.format(unit=unit, form=form)).read_bytes())
        return Fragment(model, spans(Option(form)))

    @cached_property
    def costs(self) -> UnitCosts:
        """What stage units measured."""
        found = read_json(self.run.path / "costs.json")
        return UnitCosts(self.places, found["whole_ms"], tuple(found["effects"]), np.array(found["mean_ms"]),
                         np.array(found["variance"]))

    @property
    def limit_ms(self) -> float:
        """What the budget comes to, tightened where a model measured over it."""
        whole_ms = self.run.found(UnitsResult).whole_ms
        return self.budget.absolute(whole_ms * 1e6) / 1e6 * self.run.state.tighten

    @cached_property
    def scoring(self) -> Judge:
        """Holds what the user's network gives for the images that score; three stages ask it."""
        return self._judge(self.scored) if self._of_same_numbers is None else self._of_same_numbers.scoring

    @cached_property
    def judging(self) -> Judge:
        """Holds what the user's network gives for the images that judge."""
        return self._judge(self.judged) if self._of_same_numbers is None else self._of_same_numbers.judging

    def _judge(self, examples: Examples) -> Judge:
        return Judge(lambda: examples.batches(1), self.running(self.assembler.model({})), examples.labels)

    @cached_property
    def _for_one_image(self) -> Runtime:
        """The same runtime, made ready for one image a call: so everything is judged."""
        if self.target.batch == 1:
            return self.runtime
        return replace(self._formats, target=self.target.model_copy(update={"batch": 1})).runtime()

    def running(self, model: bytes) -> Run:
        """A model as it is run on this machine, image by image."""
        session, name = self._for_one_image.load(model), self.network.input_name
        return lambda x: session.run({name: x})


def plan_of(chosen: Mapping[str, str]) -> Plan:
    """A plan as run.json keeps it."""
    return {place: Option.read(key) for place, key in chosen.items()}


def keys_of(plan: Plan) -> dict[str, str]:
    """What run.json keeps of a plan."""
    return {place: option.key for place, option in sorted(plan.items())}
