"""What a network costs: tables, calibration, the latency model. No torch, no runtime."""

from hwnas.latency.calibrate import Calibration, fit, interval
from hwnas.latency.metrics import Errors, errors, kendall_tau
from hwnas.latency.model import LatencyModel, Prediction
from hwnas.latency.table import Entry, Table, now, table_path

__all__ = [
    "Calibration", "Entry", "Errors", "LatencyModel", "Prediction", "Table", "errors", "fit", "interval",
    "kendall_tau", "now", "table_path",
]
