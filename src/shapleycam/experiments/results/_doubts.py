"""`explain_doubt`: the reasons to doubt some published figures."""

from __future__ import annotations

from shapleycam.experiments.results.cells import CellKey

_HOOKED = {"gradcam", "shapleycam", "shapleycam-x"}
"""The affected methods. Elementwise methods are not: where the ReLU changes the activation, their gradient is zero."""
_OVERWRITTEN = (
    "vgg16 at last-conv: an in-place ReLU follows this convolution and overwrites the activation that a hook keeps, "
    "unless the hook copies it from a GPU before, as for GradCAM. Very probably ShapleyCAM's published figures are of "
    "the overwritten one: in print the average drops of GradCAM and ShapleyCAM are 76.68 and 31.30 (log_probability: "
    "73.65 and 48.76), 45.38 apart, and in the other seven CNNs at most 0.34. Here both read the layer's own "
    "activation, and their maps are nearly one."
)
_UNNAMED = (
    "ROAD: the author's logs name neither layer, utility nor score. The layer is not before pooling, where GradCAM, "
    "HiResCAM and XGradCAM are one map of these networks and would have one figure; the utility is not known, and the "
    "figures are compared with either."
)


def explain_doubt(key: CellKey) -> str | None:
    """Return why a published figure may not belong to its key; None if there is no doubt."""
    model, layer, _, method, metric = key
    if metric == "road":
        return _UNNAMED
    return _OVERWRITTEN if (model, layer) == ("vgg16", "last-conv") and method in _HOOKED else None
