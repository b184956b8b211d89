"""Private copies of a model and the objects it refers to, so that a pass does not write into the user's objects."""

from shapleycam.tracing.copying.copier import Copier
from shapleycam.tracing.copying.packages import STATELESS_PACKAGES

__all__ = ["STATELESS_PACKAGES", "Copier"]
