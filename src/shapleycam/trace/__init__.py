"""One forward pass of somebody else's model, and its head."""

from shapleycam.trace.trace import Trace, trace

__all__ = ["Trace", "trace"]
