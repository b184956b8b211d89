"""The model's class for each label of a dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from shapleycam.experiments.datasets.dataset import Label
from shapleycam.models.labels import imagenet_labels

_IMAGENET_SHARE = 0.99
"""A thousand labels are ImageNet's if this share of them has its names: torchvision writes "crane bird" for "crane"."""


def class_numbers(
    labels: Sequence[Label],
    model_labels: Sequence[str] | None,
    n_classes: int | None,
    classes: Sequence[str] | None = None,
) -> list[int | None]:
    """Return the model's class for each label of a dataset, None where it is not known.

    Text is the class of that name, as in `models.labels.class_index`, or ImageNet's class of that WordNet synset
    (n01440764) where the model has ImageNet's labels. A number is itself; where the dataset names its classes and they
    are not as many as the model's, it is the class of its name. Where they are as many, and no name is at another index
    among the model's labels, the dataset's order is the model's: so are networks trained on an ImageFolder.

    Nothing is guessed: the name of several classes, numbers outside the model's, and folders called 0, 1, 10, 2, whose
    order may be the numbers' or the alphabet's, are None.

    Args:
        labels: of the dataset's images.
        model_labels: the names of the model's classes, None where they are not known.
        n_classes: how many classes the model has, None where that is not known.
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


class _NameIndex:
    """The class of a name among a model's labels: as it is written, else in any case, else as a synset."""

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
        """Return the one class of this name, or of the synonyms in it; None where it is unknown or ambiguous."""
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
    """Return the index of a model's labels, built once: annotations ask for it at every photograph."""
    return _NameIndex(labels)


def _names_in(label: str) -> set[str]:
    """Return a label, and each of its comma-separated names."""
    return {label.strip(), *(part.strip() for part in label.split(","))}


def _unique_indices(classes: Sequence[str]) -> dict[str, int]:
    """Return the index of each name, without names that occur several times."""
    times = Counter(classes)
    return {name: index for index, name in enumerate(classes) if times[name] == 1}


def _class_order(classes: Sequence[str], names: _NameIndex, total: int) -> list[int | None]:
    """Return the model's class for each class of the dataset: at the same index, or by name."""
    by_name = [names.number(name) for name in classes]
    if len(classes) != total or any(number not in {None, index} for index, number in enumerate(by_name)):
        return by_name
    if None in by_name and all(name.isdecimal() for name in classes):
        return _order_of_numbers([int(name) for name in classes], names)
    return list(range(total))


def _order_of_numbers(classes: Sequence[int], names: _NameIndex) -> list[int | None]:
    """Return the model's class for each folder called by a number.

    That is the folder's index where it is in the order of the numbers too. Otherwise it is the number itself, where the
    numbers are all of the model's and the model calls its classes something else, so that nobody took the folders'
    alphabet for its order (ImageNet-V2 is stored so); and None where either may be meant.
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
    """Return ImageNet's class of each of its 1,000 synsets."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return {info.index_to_label_name(index): index for index in range(info.num_classes())}
