"""pytorch-grad-cam's classes that are not here: they can be imported, as scripts import many at once, but not made."""

from __future__ import annotations

from functools import cache
from typing import Any

from shapleycam.errors import OptionError

MISSING = {
    "AblationLayerFasterRCNN": "removes channels of several feature maps; AblationCAM removes those of one layer",
    "ActivationsAndGradients": "keeps hooks on the model; shapleycam.trace gives a layer's activation and the head",
    "SESS": "explains windows at several scales; GradCAM with aug_smooth=True averages several views too",
    "run_dff_on_image": "draws the concepts of an image; DeepFeatureFactorization gives them, and their maps",
}
"""Names that are missing, with what each does and what to use in its place."""


@cache
def missing_class(name: str) -> type:
    """Return a class of this name that refuses to be made."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OptionError(f"{name} of pytorch-grad-cam is not in shapleycam: it {MISSING[name]}")

    return type(name, (), {"__init__": refuse, "__module__": __name__, "__doc__": f"Not here: it {MISSING[name]}."})
