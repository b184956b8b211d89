"""pytorch-grad-cam's classes that are not here: they can be imported, as scripts import many at once, but not made."""

from __future__ import annotations

from shapleycam.compat.refusing import refusing_class

MISSING = {
    "AblationLayerFasterRCNN": "removes channels of several feature maps; AblationCAM removes those of one layer",
    "ActivationsAndGradients": "keeps hooks on the model; shapleycam.trace gives a layer's activation and the head",
    "SESS": "explains windows at several scales; GradCAM with aug_smooth=True averages several views too",
    "run_dff_on_image": "draws the concepts of an image; DeepFeatureFactorization gives them, and their maps",
}
"""Names that are missing, with what each does and what to use in its place."""


def missing_class(name: str) -> type:
    """Return a class of this name that refuses to be made."""
    return refusing_class("pytorch-grad-cam", name, MISSING[name])
