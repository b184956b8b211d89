"""Evaluations: methods measured over datasets, kept on disk, and made into tables."""

from shapleycam.experiments.engines import Local, Ray
from shapleycam.experiments.progress import ProgressListener
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.runner import Evaluation, evaluate
from shapleycam.experiments.settings import RunSettings
from shapleycam.experiments.store import Store

__all__ = ["Evaluation", "Local", "ProgressListener", "Protocol", "Ray", "RunSettings", "Store", "evaluate"]
