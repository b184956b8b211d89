"""How far every method is from the true Shapley values of a model's own games."""

from shapleycam.fidelity._summary import Mean, Summary, advice, summary
from shapleycam.fidelity.distance import Distance, Fidelity
from shapleycam.fidelity.measure import fidelity

__all__ = ["Distance", "Fidelity", "Mean", "Summary", "advice", "fidelity", "summary"]
