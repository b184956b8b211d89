"""pytorch-grad-cam's ways to remove channels, which scripts hand to AblationCAM; here layers are known without them."""

from __future__ import annotations


class AblationLayer:
    """Channels along the second dimension."""


class AblationLayerVit(AblationLayer):
    """Channels along the last dimension."""
