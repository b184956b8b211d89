"""`find_manifest_problem`: checks the form of a manifest once, so that code that reads it need not check again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from shapleycam.experiments.differences import shortened
from shapleycam.experiments.rules import ClassRule, ObjectRule

_MOST_CHUNKS = 10_000_000
"""Upper limit, three times the chunks of a hundred million images; the list of more would fill the memory."""


@dataclass(frozen=True)
class _Value:
    """The form of a value that is neither a record nor a list: a description, and a test of a value."""

    expected: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class _Record:
    """The form of a record: the forms of its required fields, of its optional fields, and of all other fields."""

    required: Mapping[str, _Form]
    optional: Mapping[str, _Form]
    others: _Form


@dataclass(frozen=True)
class _List:
    """The form of a list, whose elements all have the same form."""

    element: _Form


_Form: TypeAlias = "_Value | _Record | _List | tuple[_Form, ...]"
"""A tuple allows any of several forms; if none of them fits, the problem with the first is reported."""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(choices: Sequence[str]) -> _Value:
    return _Value(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


_ANYTHING = _Value("anything", lambda _: True)
_TEXT = _Value("a text", lambda value: isinstance(value, str))
_TEXT_OR_NONE = _Value("a text or null", lambda value: value is None or isinstance(value, str))
_NONE = _Value("null", lambda value: value is None)
_WHOLE = _Value("a whole number", _is_whole)
_COUNT = _Value("a whole number of 1 or more", lambda value: _is_whole(value) and value >= 1)
_PAIR = _Value("a pair of texts", lambda value: isinstance(value, list) and [type(v) for v in value] == [str, str])
_NUMBER = _Value("a number", lambda value: isinstance(value, (int, float)) and not isinstance(value, bool))
_NODES = _Value("a whole number of 1 or more, or auto", lambda value: _COUNT.fits(value) or value == "auto")
INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos")
"""The values of torchvision's InterpolationMode, listed here because reading results must not import torch."""
_ANY_RECORD = _Record({}, {}, _ANYTHING)

_PREPROCESS = _Record(
    {
        "resize": (_List(_COUNT), _COUNT),
        "crop": _List(_COUNT),
        "mean": _List(_NUMBER),
        "std": _List(_NUMBER),
        "interpolation": _one_of(INTERPOLATIONS),
    },
    {},
    _ANYTHING,
)
_PROTOCOL = _Record(
    {
        **dict.fromkeys(("layers", "utilities", "methods", "metrics"), _List(_TEXT)),
        "class_rule": _one_of(get_args(ClassRule)),
        "preprocess": (_PREPROCESS, _NONE),
        "nodes": _NODES,
        "tolerance": _NUMBER,
        "players": (_List(_COUNT), _NONE),
        "seed": _WHOLE,
    },
    {
        "objects": _one_of(get_args(ObjectRule)),
        "options": _ANY_RECORD,
        **dict.fromkeys(("removal", "precision", "smooth"), _TEXT),
        "runs": (_COUNT, _NONE),
    },
    _ANYTHING,
)
_MODEL = _Record(
    {},
    {
        "origin": _TEXT_OR_NONE,
        "weights": _TEXT,
        "code": _TEXT,
        "layers": _Record({}, {}, _TEXT),
        "labels": (_List(_ANYTHING), _NONE),
    },
    _ANYTHING,
)
_SESSION = _Record(
    {},
    {
        "versions": _ANY_RECORD,
        "machine": _ANY_RECORD,
        "dataset": _TEXT,
        "dataset_maker": _TEXT,
        "folder": _TEXT,
        "copies": _List(_PAIR),
    },
    _ANYTHING,
)
_MANIFEST = _Record(
    {
        "format": _WHOLE,
        "protocol": _PROTOCOL,
        "order": _List(_TEXT),
        "models": _Record({}, {}, _MODEL),
        "dataset": _Record({"images": _COUNT, "fingerprint": _TEXT}, {"objects": _TEXT}, _ANYTHING),
        "sessions": _List(_SESSION),
        "images_per_part": _COUNT,
    },
    {"identity": _TEXT},
    _ANYTHING,
)


def find_manifest_problem(manifest: Any, formats: Sequence[int]) -> str | None:
    """Return why a JSON value is not a manifest; None if it is one.

    Args:
        manifest: the JSON value.
        formats: the numbers of the formats that can be read.

    Examples:
        >>> from shapleycam.experiments.manifest_check import find_manifest_problem
        >>> find_manifest_problem([], [1]), find_manifest_problem({"format": 3}, [1, 2])
        ('it is [], expected a record', 'format 3, expected 1 or 2')
    """
    if isinstance(manifest, dict) and _is_whole(manifest.get("format")) and manifest["format"] not in formats:
        return f"format {manifest['format']}, expected {' or '.join(map(str, formats))}"
    if problem := next(_problems(manifest, _MANIFEST, ""), None):
        return problem
    order, models = manifest["order"], manifest["models"]
    if not order or len(set(order)) < len(order) or set(order) != set(models):
        return f"order is {shortened(order)}, expected the models {shortened(list(models))}, each once"
    images, chunk_size = manifest["dataset"]["images"], manifest["images_per_part"]
    if images > chunk_size * _MOST_CHUNKS:
        return f"dataset.images is {images}, expected at most {_MOST_CHUNKS} chunks of images_per_part, {chunk_size}"
    if not manifest["protocol"]["metrics"]:
        return "protocol.metrics is empty"
    return None


def _problems(value: Any, form: _Form, name: str) -> Iterator[str]:
    """Yield the parts of a value that do not have the expected form, each as "NAME is VALUE, expected ..."."""
    if isinstance(form, tuple):
        problems = [list(_problems(value, choice, name)) for choice in form]
        yield from problems[0] if all(problems) else ()
    elif isinstance(form, _Record):
        if isinstance(value, dict):
            yield from _problems_in_record(value, form, f"{name}." if name else "")
        else:
            yield f"{name or 'it'} is {shortened(value)}, expected a record"
    elif isinstance(form, _List):
        if isinstance(value, list):
            for position, element in enumerate(value):
                yield from _problems(element, form.element, f"{name}[{position}]")
        else:
            yield f"{name} is {shortened(value)}, expected a list"
    elif not form.fits(value):
        yield f"{name} is {shortened(value)}, expected {form.expected}"


def _problems_in_record(record: Mapping[str, Any], form: _Record, prefix: str) -> Iterator[str]:
    for name in form.required:
        if name not in record:
            yield f"{prefix}{name} is missing"
    named = {**form.required, **form.optional}
    for name, value in record.items():
        yield from _problems(value, named.get(name, form.others), f"{prefix}{name}")
