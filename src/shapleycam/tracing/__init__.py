"""One forward pass through the user's model, and its head as a function that can be run again."""

from shapleycam.tracing._trace import Trace
from shapleycam.tracing.passes import trace

__all__ = ["Trace", "trace"]
