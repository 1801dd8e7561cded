"""Curves, evaluations, final numbers and files of a run, told to trackers: csv, tensorboard, mlflow, wandb, your own.

    hwnas compress --track csv,tensorboard,mlflow:http://host:5000

A tracker is four methods (`Tracker`), found by name, by entry point `hwnas.trackers` or as `package.module:Class`.
"""

from hwnas.tracking.record import Tracking, TrackingWarning
from hwnas.tracking.tracker import TrackedRun, Tracker

__all__ = ["TrackedRun", "Tracker", "Tracking", "TrackingWarning"]
