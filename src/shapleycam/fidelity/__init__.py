"""How far every method is from the true Shapley values of a model's own games."""

from shapleycam.fidelity.measure import Distance, Fidelity, fidelity
from shapleycam.fidelity.summary import Mean, Summary, advice, summary

__all__ = ["Distance", "Fidelity", "Mean", "Summary", "advice", "fidelity", "summary"]
