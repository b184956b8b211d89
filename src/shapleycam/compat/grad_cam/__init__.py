"""pytorch-grad-cam's interface: in a script, `pytorch_grad_cam` becomes `shapleycam.compat.grad_cam`.

A thin translation: the maps are those of `Explainer`. Where they differ from pytorch-grad-cam's is listed in
docs/coming-from.md, with the side that is right.
"""

from __future__ import annotations

from typing import Any

from shapleycam.compat.grad_cam.missing import MISSING, missing_class
from shapleycam.lazy_names import import_name

_MODULE_OF = {
    **dict.fromkeys(("EigenCAM", "EigenGradCAM", "FEM", "GradCAM", "GradCAMElementWise", "GradCAMPlusPlus"), "methods"),
    **dict.fromkeys(("HiResCAM", "KPCA_CAM", "LayerCAM", "RandomCAM", "ScoreCAM", "SegEigenCAM"), "methods"),
    "AblationCAM": "ablation_cam",
    **dict.fromkeys(("AblationLayer", "AblationLayerVit"), "ablation_layer"),
    "BaseCAM": "base_cam",
    "DeepFeatureFactorization": "feature_factorization.deep_feature_factorization",
    "FinerCAM": "finer_cam",
    "FullGrad": "fullgrad_cam",
    "GuidedBackpropReLUModel": "guided_backprop",
    "RefineCAM": "refine_cam",
    **dict.fromkeys(("ShapleyCAM", "XGradCAM"), "methods"),
}


def __getattr__(name: str) -> Any:
    return missing_class(name) if name in MISSING else import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted([*_MODULE_OF, *MISSING])
