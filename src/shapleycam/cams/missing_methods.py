"""Methods of other libraries that are not in the table, with the method that is the same or the closest."""

from __future__ import annotations

_RULES = "it needs a rule for each kind of operation of a model; captum and zennit have such rules"
_SHAPLEY = "of Shapley values of regions, choose 'sampledshapley' with regions as players"
_OWEN = "its values are those of 'owen', in groups of regions by their place"

MISSING_METHODS = {
    "saliency": "it is the size of the gradient by pixels; 'hirescam' at layer 'input' is the gradient times the image",
    "inputxgradient": "it is 'hirescam' at layer 'input'",
    "integratedgradients": "it is 'pathcam-h' at layer 'input'",
    "smoothgrad": "choose 'hirescam' at layer 'input' with smoothing 'noise', which is of the gradient times the image",
    "smoothgradcam": "choose 'gradcam' with smoothing 'noise'",
    "gradientshap": "choose 'pathcam-h' at layer 'input', with smoothing 'noise'",
    "kernelshap": _SHAPLEY,
    "lime": _SHAPLEY,
    "partitionshap": _OWEN,
    "partitionexplainer": _OWEN,
    **dict.fromkeys(("deeplift", "lrp", "deepshap", "relevancecam"), _RULES),
    "tscam": "it is of networks that were trained with its own convolutional classifier over tokens; choose 'legrad'",
    "refinecam": "it is the product of the maps of several layers: choose 'gradcam' at these, fused by 'product'",
    "sess": "it explains windows of the image at several scales; choose any method with smoothing 'augment'",
    "deepfeaturefactorization": (
        "it factorises several images at once: DeepFeatureFactorization of shapleycam.compat.grad_cam has it; "
        "'eigencam' is of one image"
    ),
    **dict.fromkeys(("groupcam", "fullgradcam", "zoomcam", "augmentedgradcam"), ""),
}
"""The recommendation for each method, by its name without separators; empty if there is none."""
