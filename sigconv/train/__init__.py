"""Training: fit and evaluate a model, score it, and run a recipe from the command line into a folder of its own."""

from sigconv.train.job import Job
from sigconv.train.loop import evaluate, fit
from sigconv.train.metrics import accuracy, auprc, auroc, confusion, dice, f1
from sigconv.train.prediction import predict
from sigconv.train.recipe import run

__all__ = ["Job", "accuracy", "auprc", "auroc", "confusion", "dice", "evaluate", "f1", "fit", "predict", "run"]
