"""What a network costs: tables, calibration, the latency model. No torch, no runtime."""

from hwnas.latency.calibrate import Calibration, Parts, fit
from hwnas.latency.entry import Entry, now
from hwnas.latency.estimate.model import EstimatedModel  # so that LatencyModel reads its files
from hwnas.latency.executed_ops import live_ops
from hwnas.latency.intervals import interval
from hwnas.latency.metrics import Errors, errors, kendall_tau
from hwnas.latency.mixed_costs import MixedCosts
from hwnas.latency.mixed_precision import MixedPrecisionModel
from hwnas.latency.model import LatencyModel, Prediction
from hwnas.latency.precision_tables import changes_of
from hwnas.latency.table import Table, table_path

__all__ = [
    "Calibration", "Entry", "Errors", "EstimatedModel", "LatencyModel", "MixedCosts", "MixedPrecisionModel", "Parts",
    "Prediction", "Table", "changes_of", "errors", "fit", "interval", "kendall_tau", "live_ops", "now", "table_path",
]
