"""Explaining: the explainer, and the steps from a model and images to explanations."""

from shapleycam.explaining.explainer import Explainer

__all__ = ["Explainer"]
