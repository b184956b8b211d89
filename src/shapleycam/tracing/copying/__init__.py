"""Private copies of all that a model is made of, so that nothing that a pass writes reaches the user's objects."""

from shapleycam.tracing.copying.copier import Copier
from shapleycam.tracing.copying.packages import STATELESS_PACKAGES

__all__ = ["STATELESS_PACKAGES", "Copier"]
