"""`ImageMetadata`: the names, labels and annotations of a dataset's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.annotations.base import Annotations
from shapleycam.experiments.datasets.classes import class_numbers
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.experiments.datasets.regions import masks_of
from shapleycam.experiments.decoding import DecodedImage
from shapleycam.experiments.rules import ObjectRule


@dataclass(frozen=True)
class ImageMetadata:
    """Names, labels and annotations of a dataset's images, with the classes of one model.

    Attributes:
        names: the name of each image.
        labels: the label of each image, as the dataset has it.
        classes: the model's class for each image's label; None if the label is not one of its classes.
        annotations: where objects are; None if there are no annotations.
        class_labels: the model's labels; None if it has none.
    """

    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[int | None]
    annotations: Annotations | None = None
    class_labels: Sequence[str] | None = None

    def missing_class_reason(self, index: int, model: str) -> str:
        """Return why an image has no class of the model, as the message of its row."""
        label = self.labels[index]
        return "it has no label" if label is None else f"its label {label!r} is no class of {model}"

    def object_masks(
        self, image: DecodedImage, target: int, size: tuple[int, int], rule: ObjectRule
    ) -> Bool[Tensor, "n h w"]:
        """Return a mask (n, h, w) of each object on the network's input; n is 0 for an image without annotation.

        Args:
            image: the image.
            target: the explained class.
            size: (height, width) of the network's input.
            rule: "class" for objects of the target only, "any" for all objects.

        Raises:
            OptionError: the part of the photograph that the network sees is not known.
            ImageError: the annotation is damaged.
        """
        regions = (self.annotations.regions_of(self.names[image.index]) if self.annotations else None) or []
        if rule == "class":
            classes = class_numbers([region.label for region in regions], self.class_labels, None)
            regions = [region for region, number in zip(regions, classes, strict=True) if number == target]
        if image.box is None or image.size is None:
            raise OptionError(
                "where the network's crop lies in a photograph is not known, since preprocess= is not a "
                "shapleycam.Preprocess; give one, or leave the pointing metrics out"
            )
        return masks_of(regions, image.box, image.size, size, image.orientation)
