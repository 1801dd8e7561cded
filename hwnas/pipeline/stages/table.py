"""The stages of compress in order: a new one is a file beside this and a line here."""

from __future__ import annotations

from typing import Any

from hwnas.pipeline.stages.data import DataStage
from hwnas.pipeline.stages.export import ExportStage
from hwnas.pipeline.stages.finetune import FinetuneStage
from hwnas.pipeline.stages.generate import GenerateStage
from hwnas.pipeline.stages.profile import ProfileStage
from hwnas.pipeline.stages.reference import ReferenceStage
from hwnas.pipeline.stages.report import ReportStage
from hwnas.pipeline.stages.search import SearchStage
from hwnas.pipeline.stages.stage import Stage

TABLE: tuple[Stage[Any], ...] = (
    DataStage(), ProfileStage(), ReferenceStage(), SearchStage(), GenerateStage(), FinetuneStage(), ExportStage(),
    ReportStage(),
)
