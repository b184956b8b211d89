"""`class_numbers`: the model's class for each label of a dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from shapleycam.errors import DoubtfulClassWarning, warn
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.models.labels import imagenet_labels

_IMAGENET_SHARE = 0.99
"""Fraction of a thousand labels that must be ImageNet's; not all, since torchvision has "crane bird" for "crane"."""


def class_numbers(
    labels: Sequence[Label],
    model_labels: Sequence[str] | None,
    n_classes: int | None,
    classes: Sequence[str] | None = None,
) -> list[int | None]:
    """Return the model's class for each label of a dataset; None if it is not known.

    - A text is the class of this name, as in `models.labels.class_index`. If the model has ImageNet's labels, it may
      also be a WordNet synset (n01440764).
    - A number is itself if the dataset has no class names, or if the number of the model's classes is not known.
    - If the dataset has class names, as many as the model has classes, and none of them is at another index in the
      model's labels, then the dataset's order is the model's: the class of a name or number is the one at its index.
      Networks that were trained on an ImageFolder have this order.
    - Otherwise a number of a dataset with class names is the class of its name.

    Nothing is guessed. The result is None for a name of several classes, for a number outside of the model's classes,
    and for folders called 0, 1, 10, 2, whose order may be numerical or alphabetical.

    Args:
        labels: the labels of the dataset's images.
        model_labels: the names of the model's classes; None if they are not known.
        n_classes: the number of the model's classes; None if it is not known.
        classes: `Dataset.classes`.

    Examples:
        >>> from shapleycam.experiments.datasets.classes import class_numbers
        >>> class_numbers(["dog", "cat", "owl"], ["cat", "dog"], 2)
        [1, 0, None]
    """
    names = _name_index(None if model_labels is None else tuple(model_labels))
    total = len(model_labels) if n_classes is None and model_labels is not None else n_classes
    order = None if classes is None or total is None else _class_order(classes, names, total)
    indices = _unique_indices(classes or ())

    def number(label: Label) -> int | None:
        if isinstance(label, str):
            index = indices.get(label)
            class_number = names.number(label) if order is None or index is None else order[index]
        elif label is None or order is None:
            class_number = label
        else:
            class_number = order[label] if 0 <= label < len(order) else None
        if class_number is None or class_number < 0 or (total is not None and class_number >= total):
            return None
        return class_number

    known = {label: number(label) for label in set(labels)}
    return [known[label] for label in labels]


def warn_of_doubtful_classes(
    labels: Sequence[Label], model_labels: Sequence[str] | None, n_classes: int | None, classes: Sequence[str] | None
) -> None:
    """Issue a `DoubtfulClassWarning` if `class_numbers` may mean other classes than the dataset; arguments as there.

    - Numbers of which some are beyond the model's classes are those of another list, for example one from 1 on; then
      the numbers that fit are wrong too.
    - Class names of which the model knows none are only taken in order, because there are as many.
    """
    total = len(model_labels) if n_classes is None and model_labels is not None else n_classes
    if total is None:
        return
    numbers = [label for label in labels if isinstance(label, int) and label >= 0]
    if classes is None and numbers and max(numbers) >= total:
        warn(
            DoubtfulClassWarning,
            f"the labels are numbers from {min(numbers)} to {max(numbers)}, and the model's classes 0 to {total - 1}; "
            "those that fit may mean other classes too, as where a list counts from 1: give the model's own numbers",
        )
    if classes is not None and model_labels is not None and _is_order_alone(classes, model_labels, total):
        warn(
            DoubtfulClassWarning,
            f"the model knows none of the dataset's {total} class names, which are taken in their order: "
            f"{classes[0]!r:.40} is class 0, {model_labels[0]!r:.40}; if this is wrong, use the model's names",
        )


def _is_order_alone(classes: Sequence[str], model_labels: Sequence[str], total: int) -> bool:
    """Return whether the classes of a dataset are the model's by their order alone, and not by a name or number."""
    names = _name_index(tuple(model_labels))
    if list(classes) == list(map(str, range(total))) or any(names.number(name) is not None for name in classes):
        return False
    return _class_order(classes, names, total) == list(range(total))


class _NameIndex:
    """Finds the class of a name in a model's labels: by exact spelling, or else ignoring case, or else as a synset."""

    def __init__(self, labels: Sequence[str] | None) -> None:
        self.has_labels = labels is not None
        self._exact: dict[str, set[int]] = defaultdict(set)
        self._folded: dict[str, set[int]] = defaultdict(set)
        for index, label in enumerate(labels or ()):
            for name in _names_in(label):
                self._exact[name].add(index)
                self._folded[name.casefold()].add(index)
        self._synsets = _synsets() if labels is not None and _is_imagenet(labels) else {}

    def number(self, name: str) -> int | None:
        """Return the class of this name, or of its comma-separated synonyms; None if it is unknown or ambiguous."""
        name = name.strip()
        candidates = self._candidates(name)
        if not candidates and "," in name:
            synonyms = [self._candidates(synonym) for synonym in _names_in(name)]
            candidates = {index for indices in synonyms if len(indices) == 1 for index in indices}
        if not candidates:
            return self._synsets.get(name)
        return next(iter(candidates)) if len(candidates) == 1 else None

    def _candidates(self, name: str) -> set[int]:
        return self._exact.get(name) or self._folded.get(name.casefold()) or set()


@lru_cache(maxsize=4)
def _name_index(labels: tuple[str, ...] | None) -> _NameIndex:
    """Return the index of a model's labels from a cache, because annotations need it for every photograph."""
    return _NameIndex(labels)


def _names_in(label: str) -> set[str]:
    """Return the label itself and each of its comma-separated names."""
    return {label.strip(), *(part.strip() for part in label.split(","))}


def _unique_indices(classes: Sequence[str]) -> dict[str, int]:
    """Return the index of each name that occurs only once."""
    times = Counter(classes)
    return {name: index for index, name in enumerate(classes) if times[name] == 1}


def _class_order(classes: Sequence[str], names: _NameIndex, total: int) -> list[int | None]:
    """Return the model's class for each class of the dataset, by index or by name, as `class_numbers` describes."""
    by_name = [names.number(name) for name in classes]
    if len(classes) != total or any(number not in {None, index} for index, number in enumerate(by_name)):
        return by_name
    if None in by_name and all(name.isdecimal() for name in classes):
        return _order_of_numbers([int(name) for name in classes], names)
    return list(range(total))


def _order_of_numbers(classes: Sequence[int], names: _NameIndex) -> list[int | None]:
    """Return the model's class for each folder whose name is a number.

    - If the folders' order is also the order of their numbers, the class is the folder's index.
    - Otherwise, if the numbers are exactly the model's classes, and the model has other names for these, the class is
      the number itself. ImageNet-V2 is stored in this way. The model's names show that its classes are not numbered by
      the alphabetical order of such folders.
    - Otherwise the class is None, because either order may be meant.
    """
    ordered = sorted(classes)
    if ordered == list(classes):
        return list(range(len(classes)))
    return list(classes) if names.has_labels and ordered == list(range(len(classes))) else [None] * len(classes)


def _is_imagenet(labels: Sequence[str]) -> bool:
    known = imagenet_labels()
    if len(labels) != len(known):
        return False
    pairs = zip(labels, known, strict=True)
    equal = sum(bool(_names_in(label) & _names_in(known_label)) for label, known_label in pairs)
    return equal >= _IMAGENET_SHARE * len(known)


def _synsets() -> dict[str, int]:
    """Return the ImageNet class of each of the 1,000 synsets."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return {info.index_to_label_name(index): index for index in range(info.num_classes())}
