"""The question of a view: what its address says, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

from shapleycam.errors import OptionError, nearest

_ADDRESS_NAMES = {"target": "class"}
"""Fields that have another name in addresses, since Python has taken it."""
_LONGEST = 1000


@dataclass(frozen=True)
class Question:
    """Everything that an answer of the page depends on; each field is one parameter of the address.

    A field that is empty has its default, which the address then leaves out. A later field is one more line here.

    Attributes:
        photo: the key of a photograph in the store, or the name of an example; empty for the first example.
        model: one of the models that are offered; empty for the first.
        layer: a dotted name, or a rule of `shapleycam.layers`; empty for the default.
        target: the class that is explained, a number or a label; empty for the predicted one.
        against: the class that it is explained against; empty for none.
        utility: what is explained; empty for the default.
        removal: what stands in for absent places, "mean"; empty for the default.
        method: the method of the first tab; empty for the default.
        players: among whom the first tab divides, a grid such as "7x7", or "superpixels", "superpixels:80" or
            "patches" at layer "input"; empty for the default.
        runs: of the model at layer "input", or of what comes after another, that the first tab may make at most; empty
            for the default. "62of1000" are 62 of 1,000 that were planned, where the first tab was stopped.
        methods: those of Compare: a set or one method; empty for the paper's ten.
        smooth: how maps are smoothed, as names joined by commas; empty for not at all.
        colours: the colour map of the maps, by matplotlib's name; empty for the library's own.
        contours: the number of lines of equal heat or value; empty for none.
        sign: of the values that maps show, "positive" or "negative"; empty for what each map shows by itself.
        top_value: the share of the value whose places are shown; empty for all places.
        layers: those that the ladder has been to, as names joined by commas; empty for a few of the model's.
        error: the standard error to which Fidelity samples, in percent of the values; empty for the default.
        absent: the players that a coalition leaves out, as their numbers joined by dots; empty for none.
        run: one of the runs that are offered; empty for the first.
        metric: the metric by which the images of a run are ordered; empty for the default.
        part: which of several pictures of a kind, as the number of orders of sampled values; empty for the only one.

    Examples:
        >>> from shapleycam.web.question import Question
        >>> question = Question.read([("photo", "grace_hopper"), ("class", "667")])
        >>> question.target, question.but(against="400").address()
        ('667', 'photo=grace_hopper&class=667&against=400')
    """

    photo: str = ""
    model: str = ""
    layer: str = ""
    target: str = ""
    against: str = ""
    utility: str = ""
    removal: str = ""
    method: str = ""
    players: str = ""
    runs: str = ""
    methods: str = ""
    smooth: str = ""
    colours: str = ""
    contours: str = ""
    sign: str = ""
    top_value: str = ""
    layers: str = ""
    error: str = ""
    absent: str = ""
    run: str = ""
    metric: str = ""
    part: str = ""

    @classmethod
    def read(cls, parameters: Iterable[tuple[str, str]]) -> Question:
        """Return the question of an address's parameters.

        Raises:
            OptionError: an unknown parameter, one that is there twice, or one that is far too long.
        """
        pairs = [(name, value.strip()) for name, value in parameters]
        names = {name: field for field, name in address_names().items()}
        for name, count in Counter(name for name, _ in pairs).items():
            if name not in names:
                raise OptionError(f"the address has a parameter {name[:80]!r}; {nearest(name[:80], names)}")
            if count > 1:
                raise OptionError(f"the address has {name!r} {count} times; expected once: remove the others")
        for name, value in pairs:
            if len(value) > _LONGEST:
                raise OptionError(f"{name} in the address has {len(value)} characters; expected at most {_LONGEST}")
        return cls(**{names[name]: value for name, value in pairs})

    def but(self, **changes: str) -> Question:
        """Return the question with some of its fields changed."""
        return replace(self, **changes)

    def only(self, names: Iterable[str]) -> Question:
        """Return the question with no other fields than these, which is what an answer that reads only these is of."""
        return Question(**{name: getattr(self, name) for name in names})

    def address(self, **more: str) -> str:
        """Return the question as the query of an address, encoded; empty fields are left out."""
        pairs = [(name, getattr(self, field)) for field, name in address_names().items()]
        return urlencode([(name, value) for name, value in (*pairs, *more.items()) if value])


def address_names() -> dict[str, str]:
    """Return each field's name in addresses, by its name in Python."""
    return {field.name: _ADDRESS_NAMES.get(field.name, field.name) for field in fields(Question)}
