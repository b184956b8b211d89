"""Annotated objects as players: binary masks, label maps (VOC), polygons and run lengths (COCO)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.named_regions import NamedRegions
from shapleycam.images.object_masks import decode_run_lengths, mask_from_polygons, mask_from_run_lengths
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.wording import first_line

BACKGROUND = "background"
"""The name of the region of all pixels that no mask covers."""
_VOID = 255
"""The label of pixels of unknown class, as in VOC's label maps."""

Masks: TypeAlias = "Sequence[Any] | np.ndarray | Tensor"
"""A label map (H, W), masks (k, H, W), or a sequence of masks (H, W) and COCO annotations."""


def players_from_masks(
    masks: Masks,
    names: Sequence[str] | Mapping[int, str] | None = None,
    *,
    preprocess: Transform | None = None,
    size: tuple[int, int] | None = None,
) -> NamedRegions:
    """Return the objects of a photograph as players at layer "input".

    A pixel that several masks cover belongs to the smallest of them, so that an object on top of a larger one keeps its
    pixels. All pixels that no mask covers, and a border that preprocessing adds, form one more region, "background".

    Args:
        masks: one of
            a label map (H, W) of integers, with 0 for the background and 255 for unknown, as in VOC;
            masks (k, H, W), or a sequence of masks (H, W), that are true or a single nonzero number on an object;
            a sequence of COCO annotations: mappings with "segmentation" (polygons, run lengths, or compressed run
            lengths).
        names: names of the masks in their order; or a mapping from labels or "category_id" to names. None numbers the
            objects. Objects with the same name get a number after the name.
        preprocess: the explainer's preprocessing, for masks in the size of the photograph; None for masks in the size
            of the network's input.
        size: (height, width) of the photograph; polygons need it.

    Returns:
        The value of `players=` for one photograph. `Explanation.region_values` shows the names.

    Raises:
        OptionError: the masks are invalid, of several sizes or empty; an object lies outside of the network's crop; the
            names do not fit; or the crop of the preprocessing is not known.

    Examples:
        >>> import numpy as np, shapleycam
        >>> labels = np.zeros((300, 400), dtype=int)
        >>> labels[100:200, 50:150], labels[50:250, 200:300] = 1, 2
        >>> explainer = shapleycam.Explainer("efficientnet_lite0", layer="input", removal="blur", device="cpu")
        >>> players = shapleycam.players_from_masks(labels, ["cat", "dog"], preprocess=explainer.preprocess)
        >>> players.names, tuple(players.labels.shape)
        (('background', 'cat', 'dog'), (224, 224))
    """
    outlines, numbers = _outlines(masks, size)
    region_names = (BACKGROUND, *_unique(_names(names, numbers)))
    labels = torch.zeros(outlines.shape[1:], dtype=torch.long, device="cpu")
    for index in outlines.flatten(1).sum(1).argsort(descending=True, stable=True).tolist():
        labels[outlines[index]] = index + 1
    _check_visible(labels, region_names, "is covered by smaller masks; leave one of them out")
    if preprocess is not None:
        if not isinstance(preprocess, Preprocess):
            raise OptionError(
                f"preprocess is a {type(preprocess).__name__}, whose crop is not known; expected a "
                "shapleycam.Preprocess, or masks in the size of the network's input and no preprocess"
            )
        labels = preprocess.crop_labels(labels)
        _check_visible(
            labels, region_names, "lies outside of what the network sees of the photograph; leave its mask out"
        )
    return NamedRegions(labels, region_names)


def _outlines(masks: Masks, size: tuple[int, int] | None) -> tuple[Bool[Tensor, "k H W"], list[int]]:
    """Return a mask of each object, and the number by which its name is looked up."""
    if not isinstance(masks, (np.ndarray, Tensor)):
        outlines = [_outline(mask, index, size) for index, mask in enumerate(masks)]
        return _stack(outlines), [_number(mask, index) for index, mask in enumerate(masks)]
    array = torch.as_tensor(np.asarray(masks), device="cpu")
    if array.dim() == 3:
        return _stack([_outline(mask, index, size) for index, mask in enumerate(array)]), list(range(len(array)))
    if array.dim() != 2 or array.is_floating_point() or array.is_complex():
        raise OptionError(
            f"masks have shape {tuple(array.shape)} of {array.dtype}; expected a label map (H, W) of whole numbers, or "
            "masks (k, H, W)"
        )
    if array.dtype == torch.bool:
        return _stack([_outline(array, 0, size)]), [0]
    labels = [label for label in array.unique().tolist() if label not in {0, _VOID}]
    return _stack([array == label for label in labels]), labels


def _number(mask: Any, index: int) -> int:
    return int(mask["category_id"]) if isinstance(mask, Mapping) and "category_id" in mask else index


def _outline(mask: Any, index: int, size: tuple[int, int] | None) -> Bool[Tensor, "H W"]:
    """Return one object's mask, from a mask or an annotation."""
    if isinstance(mask, Mapping):
        outline = _segmentation(mask, index, size)
    else:
        try:
            numbers = torch.as_tensor(np.asarray(mask), device="cpu")
        except (TypeError, ValueError):
            raise OptionError(f"mask {index} is a {type(mask).__name__}; {_EXPECTED}") from None
        outline = numbers != 0
        _check_binary(numbers[outline], index)
    if outline.dim() != 2:
        raise OptionError(f"mask {index} has shape {tuple(outline.shape)}; expected (H, W)")
    if not bool(outline.any()):
        raise OptionError(f"mask {index} has no pixels; expected an object in the photograph: leave the mask out")
    return outline


def _check_binary(numbers: Tensor, index: int) -> None:
    """Refuse the nonzero numbers of an array that is not a binary mask: probabilities, several labels, or NaN.

    Raises:
        OptionError: the numbers differ, or are not finite.
    """
    distinct = len(numbers.unique())
    is_finite = numbers.is_complex() or not numbers.is_floating_point() or bool(numbers.isfinite().all())
    if distinct > 1 or not is_finite:
        what = f"{distinct:,} different numbers beside 0" if is_finite else "NaN or infinity"
        raise OptionError(
            f"mask {index} holds {what}; expected 0 and one other number: compare a mask of probabilities with a "
            "threshold, and give a label map (H, W) by itself, in no list"
        )


_EXPECTED = 'expected an array (H, W), or a COCO annotation with "segmentation"'


def _segmentation(annotation: Mapping[str, Any], index: int, size: tuple[int, int] | None) -> Bool[Tensor, "H W"]:
    """Return the mask of a COCO annotation: polygons, or run lengths."""
    segmentation = annotation.get("segmentation", annotation)
    if isinstance(segmentation, Mapping) and {"counts", "size"} <= set(segmentation):
        return torch.from_numpy(_from_run_lengths(segmentation["counts"], segmentation["size"], index))
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str):
        raise OptionError(f"mask {index} is a mapping without polygons or run lengths; {_EXPECTED}")
    if size is None:
        raise OptionError(f"mask {index} has polygons; expected the photograph's size=(height, width) with them")
    height, width = size
    try:
        return torch.from_numpy(mask_from_polygons(segmentation, width, height))
    except (TypeError, ValueError):
        raise OptionError(
            f"mask {index} has polygons {segmentation!r:.60}; expected of each x, y, x, y of 3 corners or more, in "
            "pixels of the photograph"
        ) from None


def _from_run_lengths(counts: Any, size: Any, index: int) -> np.ndarray:
    """Return the mask that COCO's run lengths describe, given as numbers or as compressed text."""
    try:
        height, width = map(int, size)
        text = counts.decode() if isinstance(counts, bytes) else counts
        lengths = decode_run_lengths(text) if isinstance(text, str) else list(text)
        return mask_from_run_lengths(lengths, width, height).copy()
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"mask {index} has run lengths that cannot be read ({first_line(error)}); expected COCO's counts, of as "
            f"many pixels as its size {size!r:.40}"
        ) from None


def _stack(outlines: list[Tensor]) -> Bool[Tensor, "k H W"]:
    if not outlines:
        raise OptionError("there are no masks; expected one object or more")
    sizes = sorted({tuple(outline.shape) for outline in outlines})
    if len(sizes) > 1:
        raise OptionError(f"masks have sizes {sizes[0]} and {sizes[1]}; expected one size, the photograph's")
    return torch.stack(outlines)


def _names(names: Sequence[str] | Mapping[int, str] | None, numbers: list[int]) -> list[str]:
    """Return the name of each object."""
    if names is None:
        return [f"object {index}" for index in range(1, len(numbers) + 1)]
    if isinstance(names, Mapping):
        unknown = [number for number in numbers if number not in names]
        if unknown:
            raise OptionError(f"names have none for {unknown[0]}; expected one for each of {sorted(set(numbers))}")
        return [names[number] for number in numbers]
    if isinstance(names, str) or len(names) != len(numbers):
        count = "one text" if isinstance(names, str) else f"{len(names)} names"
        raise OptionError(f"names are {count} for {len(numbers)} objects; expected one for each")
    return list(names)


def _unique(names: list[str]) -> list[str]:
    """Return the names, with a number after each name that occurs more than once."""
    total, seen = Counter([*names, BACKGROUND]), Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name} {seen[name]}" if total[name] > 1 else name)
    return unique


def _check_visible(labels: Int[Tensor, "H W"], names: tuple[str, ...], reason: str) -> None:
    """Refuse labels in which a region has no pixels."""
    missing = sorted(set(range(1, len(names))) - set(labels.unique().tolist()))
    if missing:
        raise OptionError(f"mask {missing[0] - 1} ({names[missing[0]]}) {reason}")
