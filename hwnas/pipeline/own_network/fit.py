"""Stage fit: what else may stand in a unit's place, and its weights: nothing, a thinner unit, one convolution.

A form is a file, form-UNIT-NAME.onnx; the form `none` has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.files import write_bytes
from hwnas.pipeline.own_network.context import FORM_FILE, OwnContext
from hwnas.pipeline.run.own_results import FitResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.merged import merge_regressions, merged_from, merges_of
from hwnas.surgery.moments import moments_of
from hwnas.surgery.thin import thin_from, thin_regressions


class FitStage(Stage[FitResult]):
    """Fits replacements in closed form, on images that calibrate; none of those that score or judge."""

    name = FitResult.stage

    def run(self, context: OwnContext) -> FitResult:
        """Fit all of them in one pass over the images."""
        if not context.replaces:
            return FitResult(forms={}, images=0)
        changeable = frozenset(unit.name for unit in context.cut.units if unit.name not in context.frozen)
        examples = context.fitted
        merges = merges_of(context.cut, changeable)
        known = moments_of(context.cut.flow, thin_regressions(context.cut, changeable) | merge_regressions(merges),
                           _told(context, examples.batches(1), len(examples)), context.config.seed)
        found = thin_from(context.cut, known, only=changeable) | merged_from(context.cut, merges, known)
        forms: dict[str, list[str]] = {}
        for (unit, form), fragment in found.items():
            assert fragment.model is not None
            write_bytes(context.run.path / FORM_FILE.format(unit=unit, form=form), fragment.model.SerializeToString())
            forms.setdefault(unit, []).append(form)
        return FitResult(forms=forms, images=len(examples))

    def leaves(self, found: FitResult) -> Sequence[str]:
        return sorted(FORM_FILE.format(unit=unit, form=form) for unit, forms in found.forms.items() for form in forms)


def _told(context: OwnContext, inputs: Iterator[NDArray[np.float32]], count: int) -> Iterator[NDArray[np.float32]]:
    for i, x in enumerate(inputs):
        context.progress("fitting replacements", i, count)
        yield x
    context.progress("fitting replacements", count, count)
