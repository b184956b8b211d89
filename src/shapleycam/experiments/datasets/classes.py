"""The model's class for each label of a dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from timm.data import ImageNetInfo

from shapleycam.experiments.datasets.dataset import Label
from shapleycam.models.labels import imagenet_labels

_ALIKE = 0.99
"""A thousand labels are ImageNet's if this share of them is called so: torchvision says "crane bird" for "crane"."""


def class_numbers(
    labels: Sequence[Label],
    model_labels: Sequence[str] | None,
    n_classes: int | None,
    classes: Sequence[str] | None = None,
) -> list[int | None]:
    """The model's class for each label of a dataset, None where it is not known; `classes` are `Dataset.classes`.

    Text is the class of that name, as in `models.labels.class_index`, or ImageNet's class of that WordNet synset
    (n01440764) where the model has ImageNet's labels. A number is itself; where the dataset names its classes and they
    are not as many as the model's, it is the class of its name. Where they are as many, and no name stands at another
    place among the model's labels, the dataset's order is the model's: so are networks trained on an ImageFolder.

    Never a guess: the name of several classes, numbers outside the model's, and folders called 0, 1, 10, 2, whose
    order may be the numbers' or the alphabet's, are None.
    """
    names = _names(None if model_labels is None else tuple(model_labels))
    total = len(model_labels) if n_classes is None and model_labels is not None else n_classes
    order = None if classes is None or total is None else _order(classes, names, total)
    places = _places(classes or ())

    def number(label: Label) -> int | None:
        if isinstance(label, str):
            place = places.get(label)
            found = names.number(label) if order is None or place is None else order[place]
        elif label is None or order is None:
            found = label
        else:
            found = order[label] if 0 <= label < len(order) else None
        return found if found is not None and found >= 0 and (total is None or found < total) else None

    known = {label: number(label) for label in set(labels)}
    return [known[label] for label in labels]


class _Names:
    """Which class a name means among a model's labels: as it is written, else in any case, else as a synset."""

    def __init__(self, labels: Sequence[str] | None) -> None:
        self.given = labels is not None
        self._exact: dict[str, set[int]] = defaultdict(set)
        self._folded: dict[str, set[int]] = defaultdict(set)
        for index, label in enumerate(labels or ()):
            for name in _parts(label):
                self._exact[name].add(index)
                self._folded[name.casefold()].add(index)
        self._synsets = _synsets() if labels is not None and _is_imagenet(labels) else {}

    def number(self, name: str) -> int | None:
        """The one class of this name, or of the synonyms in it; None where it is unknown or ambiguous."""
        name = name.strip()
        found = self._meant(name)
        if not found and "," in name:
            synonyms = [self._meant(part) for part in _parts(name)]
            found = {index for meant in synonyms if len(meant) == 1 for index in meant}
        if not found:
            return self._synsets.get(name)
        return next(iter(found)) if len(found) == 1 else None

    def _meant(self, name: str) -> set[int]:
        return self._exact.get(name) or self._folded.get(name.casefold()) or set()


@lru_cache(maxsize=4)
def _names(labels: tuple[str, ...] | None) -> _Names:
    """Made once for a model, as annotations ask for every photograph."""
    return _Names(labels)


def _parts(label: str) -> set[str]:
    """A label, and each of its comma-separated names."""
    return {label.strip(), *(part.strip() for part in label.split(","))}


def _places(classes: Sequence[str]) -> dict[str, int]:
    """Where each name stands, without those that stand at several places."""
    times = Counter(classes)
    return {name: place for place, name in enumerate(classes) if times[name] == 1}


def _order(classes: Sequence[str], names: _Names, total: int) -> list[int | None]:
    """The model's class for each class of the dataset: at the same place, or by name."""
    by_name = [names.number(name) for name in classes]
    if len(classes) != total or any(number not in {None, place} for place, number in enumerate(by_name)):
        return by_name
    if None in by_name and all(name.isdecimal() for name in classes):
        return _order_of_numbers([int(name) for name in classes], names)
    return list(range(total))


def _order_of_numbers(classes: Sequence[int], names: _Names) -> list[int | None]:
    """Folders called by numbers: their place, where that is the order of the numbers too.

    Otherwise the numbers themselves, where they are all of the model's and it calls its classes something else, so that
    nobody took the folders' alphabet for it (ImageNet-V2 is kept so); and nothing where either may be meant.
    """
    ordered = sorted(classes)
    if ordered == list(classes):
        return list(range(len(classes)))
    return list(classes) if names.given and ordered == list(range(len(classes))) else [None] * len(classes)


def _is_imagenet(labels: Sequence[str]) -> bool:
    known = imagenet_labels()
    if len(labels) != len(known):
        return False
    alike = sum(bool(_parts(label) & _parts(own)) for label, own in zip(labels, known, strict=True))
    return alike >= _ALIKE * len(known)


def _synsets() -> dict[str, int]:
    """ImageNet's class of each of its 1,000 synsets."""
    info = ImageNetInfo()
    return {info.index_to_label_name(index): index for index in range(info.num_classes())}
