"""Evaluations: methods measured over datasets, kept on disk, and made into tables."""

from shapleycam.experiments.engines import Local, Ray
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.runner import Evaluation, Setting, evaluate
from shapleycam.experiments.store import Store

__all__ = ["Evaluation", "Local", "Protocol", "Ray", "Setting", "Store", "evaluate"]
