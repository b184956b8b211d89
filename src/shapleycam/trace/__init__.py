"""One forward pass of somebody else's model, and its head."""

from shapleycam.trace.passes import trace
from shapleycam.trace.trace import Trace

__all__ = ["Trace", "trace"]
