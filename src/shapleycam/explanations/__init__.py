"""Results of explaining: one method's explanation, a comparison of several, and their summary in words."""

from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation

__all__ = ["Comparison", "Explanation"]
