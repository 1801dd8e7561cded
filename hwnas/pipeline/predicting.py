"""Where `hwnas.pipeline.exported.predicting` was in 0.1; the old import works for one version."""

from hwnas.pipeline.exported.predicting import Prediction, Predictor, predict_files

__all__ = ["Prediction", "Predictor", "predict_files"]
