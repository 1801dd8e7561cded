"""The stages of compress on a user's own network, in order: a new one is a file beside this and a line here."""

from __future__ import annotations

from typing import Any

from hwnas.pipeline.own_network.choose import PlanStage
from hwnas.pipeline.own_network.fit import FitStage
from hwnas.pipeline.own_network.read import ReadStage
from hwnas.pipeline.own_network.report import OwnReportStage
from hwnas.pipeline.own_network.score import ScoreStage
from hwnas.pipeline.own_network.ship import ShipStage
from hwnas.pipeline.own_network.tune import TuneStage
from hwnas.pipeline.own_network.units import UnitsStage
from hwnas.pipeline.stages.stage import Stage

OWN_TABLE: tuple[Stage[Any], ...] = (ReadStage(), FitStage(), UnitsStage(), ScoreStage(), PlanStage(), TuneStage(),
                                     ShipStage(), OwnReportStage())
