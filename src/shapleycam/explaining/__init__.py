"""From a model and images to explanations: the explainer, and what it makes of a user's input."""

from shapleycam.explaining.explainer import Explainer

__all__ = ["Explainer"]
