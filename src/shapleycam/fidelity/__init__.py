"""Distance of each method's values from the true Shapley values, of the layer's own game or of the input's."""

from shapleycam.fidelity._input_summary import InputSummary, input_summary
from shapleycam.fidelity._split_values import SplitValues, split_values
from shapleycam.fidelity._summary import Mean, Summary, advice, summary
from shapleycam.fidelity.against_input import InputFidelity, input_fidelity
from shapleycam.fidelity.distance import Distance, Fidelity
from shapleycam.fidelity.input_distance import LAYER_VALUES, InputDistance
from shapleycam.fidelity.input_reference import InputQuestion, InputValues
from shapleycam.fidelity.measure import fidelity

__all__ = [
    "LAYER_VALUES",
    "Distance",
    "Fidelity",
    "InputDistance",
    "InputFidelity",
    "InputQuestion",
    "InputSummary",
    "InputValues",
    "Mean",
    "SplitValues",
    "Summary",
    "advice",
    "fidelity",
    "input_fidelity",
    "input_summary",
    "split_values",
    "summary",
]
