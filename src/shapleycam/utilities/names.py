"""The names of the utilities in the order of tables, for what needs no more of them than that, and no torch."""

from __future__ import annotations

UTILITY_NAMES = (
    *("rest", "logit", "log_probability", "probability", "log_odds"),
    *("sigmoid_rest", "sigmoid_log_probability", "sigmoid_probability", "value"),
)
"""In this order are the rows of the table of utilities; one that is not among them cannot be in it."""
