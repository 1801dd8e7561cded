"""What networks that others timed say of a device: how it executes networks, and what they cost there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.latency import metrics
from hwnas.latency.adapted import AdaptedModel, adapted_path, write_adapted
from hwnas.latency.estimate import EstimatedModel, estimate, run_of
from hwnas.latency.estimate.adapt import MIN_NETWORKS, Fit, adapt_runs, best_rule, fits
from hwnas.latency.estimate.rules import COMPILED, SAYS, Rule, rules_of
from hwnas.latency.estimate.unsaid import FRAMEWORKS
from hwnas.latency.measurements import Measurements, read_measurements
from hwnas.latency.prior import line_error
from hwnas.pipeline.latencies.tables import default_folder
from hwnas.space import Space
from hwnas.target import Target

MOST_FITTED, MOST_JUDGED = 100, 1000  # networks; more would say nothing new of a dozen factors


@dataclass(frozen=True)
class Elsewhere:
    """What a file of measurements says.

    Args:
        given: all of it.
        fitted: how many networks the model was fitted to.
        rules: rule -> its fit to them.
        model: under the rule that fits them.
        line_error: of a line in FLOPs through the same networks, each left out once, percent.
        held_out: on networks that were not fitted; None where all were.
        path: where the model is kept for other commands; None where it is not, and `why_not` says why.
    """

    given: Measurements
    fitted: int
    rules: Mapping[Rule, Fit]
    model: EstimatedModel
    line_error: float
    held_out: metrics.Errors | None
    path: Path | None
    why_not: str

    @property
    def error(self) -> float:
        """Of every fitted network predicted from the others, percent."""
        return float(self.model.calibration.loo_mape or 0.0)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "networks": len(self.given.networks), "fitted": self.fitted, "repeated": self.given.repeated,
            "cut": self.given.cut, "column": self.given.column, "rule": self.model.rule, "says": SAYS[self.model.rule],
            "error": self.error, "line_error": self.line_error,
            "rules": {rule: fit.error for rule, fit in self.rules.items()},
            "interval_factor": float(np.exp(self.model.calibration.log_spread)),
            "held_out": self.held_out.to_json() if self.held_out else None,
            "model": str(self.path) if self.path else None, "not_kept": self.why_not or None,
        }


def adapt_to_file(path: Path, space: Space, target: Target, *, column: str | None = None, tables: Path | None = None,
                  seed: int = 0) -> Elsewhere:
    """Adapt the estimate of a target to networks of a file, and keep the model where a runtime has run them.

    Args:
        column, space: as in `hwnas.latency.measurements.read_measurements`.
        tables: folder of tables; None takes the user's cache.
        seed: draws the networks that are fitted where there are more than `MOST_FITTED`.

    Raises:
        InputError: the file cannot be used, or the target states no hardware.
    """
    given = read_measurements(path, space, column)
    if len(given.networks) < MIN_NETWORKS:
        raise InputError(f"{path} has {len(given.networks)} different networks that an image gets through, and "
                         f"adapting takes at least {MIN_NETWORKS}: 20 say most of what there is to say")
    order = np.random.default_rng(seed).permutation(len(given.networks))
    rows, rest = order[:MOST_FITTED], order[MOST_FITTED:MOST_FITTED + MOST_JUDGED]
    networks, y = [given.networks[i] for i in rows], np.array([given.latencies_ms[i] for i in rows])
    prior = estimate(space, target, COMPILED)
    runs = {rule: [run_of(arch, rule) for arch in networks] for rule in rules_of(space)}
    found = fits(prior, target, runs, y.tolist())
    rule = best_rule(found)
    model = adapt_runs(prior, target, {rule: runs[rule]}, y.tolist())
    judged = metrics.errors(model.predict_ms(given.networks[i] for i in rest),
                            np.array([given.latencies_ms[i] for i in rest])) if len(rest) else None
    made = Elsewhere(given, len(networks), found, model, line_error(networks, y), judged, None, "")
    if why := _not_kept(made):
        return Elsewhere(given, len(networks), found, model, made.line_error, judged, None, why)
    kept = adapted_path(tables or default_folder(), target, space)
    told = f"an estimate from the public figures of {target.name}, to latencies of {path.name} ({rule})"
    write_adapted(kept, AdaptedModel(model.under(COMPILED), {"cpu": "not stated by the file"}, told, made.error,
                                     made.line_error, len(networks)), target, space,
                  content_hash=prior.table_hash, source=prior.source, networks=networks, networks_ms=y.tolist())
    return Elsewhere(given, len(networks), found, model, made.line_error, judged, kept, "")


def _not_kept(made: Elsewhere) -> str:
    if made.error >= made.line_error:
        return f"a line in FLOPs predicts these networks better, with {made.line_error:.1f} %"
    if made.model.rule in FRAMEWORKS:
        return "dead ops ran in these networks, as in a framework, and what hwnas exports has none"
    return ""
