"""Several methods' explanations of the same images."""

from __future__ import annotations

from typing import Any

from shapleycam.cams.table import canonical_method
from shapleycam.explanations import notebook
from shapleycam.explanations.explanation import Explanation


class Comparison(dict[str, Explanation]):
    """Explanations by method: a dictionary that a notebook shows side by side.

    Its keys are the methods' own names; `comparison["Grad-CAM"]`, `in` and `get` take every spelling of them.

    Examples:
        >>> import matplotlib, shapleycam
        >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> explainer = shapleycam.Explainer("efficientnet_lite0", device="cpu")
        >>> comparison = explainer.compare(photo, ["gradcam", "hirescam"])
        >>> comparison["Grad-CAM"].method, "HiRes CAM" in comparison
        ('gradcam', True)
    """

    def __missing__(self, name: str) -> Explanation:
        method = canonical_method(name)
        if method is None or not super().__contains__(method):
            raise KeyError(f"{name!r} is not among the methods compared, which are {', '.join(self)}")
        return self[method]

    def __contains__(self, name: object) -> bool:
        """Return whether a method was compared, in any spelling of its name."""
        return super().__contains__(name) or super().__contains__(canonical_method(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a method's explanation, in any spelling of its name, or the default."""
        method = name if super().__contains__(name) else canonical_method(name)
        return super().get(method, default) if method is not None else default

    def _repr_html_(self) -> str:
        return notebook.comparison_html(self)
