"""Several methods' explanations of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from shapleycam.cams.table import canonical_method
from shapleycam.explanations import notebook
from shapleycam.explanations.explanation import Explanation

_TOLERANCE = 1e-6
"""Two maps that differ by at most this at every place count as the same map."""


class Comparison(dict[str, Explanation]):
    """A dictionary of explanations by method, which a notebook shows side by side.

    The keys are the methods' names; `comparison["Grad-CAM"]`, `in` and `get` accept every spelling of a name.

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
        """Return whether the comparison has a method, in any spelling of its name."""
        return super().__contains__(name) or super().__contains__(canonical_method(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a method's explanation, for any spelling of its name, or else the default."""
        method = name if super().__contains__(name) else canonical_method(name)
        return super().get(method, default) if method is not None else default

    def _repr_html_(self) -> str:
        return notebook.comparison_html(self)


def group_by_map(maps: Mapping[str, Tensor]) -> list[list[str]]:
    """Return the methods in groups whose maps are the same; maps have numbers in [-1, 1].

    Examples:
        >>> import torch
        >>> from shapleycam.explanations.comparison import group_by_map
        >>> group_by_map({"a": torch.ones(2), "b": torch.zeros(2), "c": torch.ones(2)})
        [['a', 'c'], ['b']]
    """
    groups: list[list[str]] = []
    for name, numbers in maps.items():
        for group in groups:
            first = maps[group[0]]
            if numbers.shape == first.shape and bool(((numbers - first).abs() <= _TOLERANCE).all()):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups
