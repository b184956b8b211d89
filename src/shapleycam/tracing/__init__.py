"""One forward pass of somebody else's model, and its head."""

from shapleycam.tracing._trace import Trace
from shapleycam.tracing.passes import trace

__all__ = ["Trace", "trace"]
