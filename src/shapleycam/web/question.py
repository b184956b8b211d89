"""The question of a view: the content of its address, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

from shapleycam.errors import OptionError
from shapleycam.names import nearest

_ADDRESS_NAMES = {"target": "class"}
"""Fields that have another name in addresses, because this name is a keyword of Python."""
_LONGEST = 1000


@dataclass(frozen=True)
class Question:
    """Everything that an answer of the page depends on; each field is one parameter of the address.

    An empty field means the default, and the address omits it. A new field is one more line here.

    Attributes:
        photo: the key of a photograph in the store, or the name of an example; empty for the first example.
        model: one of the offered models; empty for the first.
        layer: a dotted name, or a rule of `shapleycam.layers`; empty for the default.
        target: the class that is explained, a number or a label; empty for the predicted one.
        against: the class that it is explained against; empty for none.
        utility: what is explained; empty for the default.
        removal: the name of what replaces absent places, such as "mean"; empty for the default.
        method: the method of the first tab; empty for the default.
        players: the players of the first tab: a grid such as "7x7", or at layer "input" "superpixels",
            "superpixels:80" or "patches"; empty for the default.
        runs: the maximum number of runs that the first tab may make, of the model at layer "input" and of the head at
            other layers; empty for the default. "62of1000": 1,000 were planned, and a visitor stopped after 62.
        methods: the methods of the tab Compare, a set or one method; empty for the paper's ten.
        smooth: the smoothings of maps, as names joined by commas; empty for none.
        colours: the colour map of the maps, by matplotlib's name; empty for the library's own.
        contours: the number of contours in the maps; empty for none.
        sign: the sign of the values that maps show, "positive" or "negative"; empty for the usual sign of each map.
        top_value: the share of the value whose places are shown; empty for all places.
        layers: the layers of the ladder, as names joined by commas; empty for a few of the model's layers.
        error: the standard error to which Fidelity samples, in percent of the values; empty for the default.
        absent: the players that are not in a coalition, as numbers joined by dots; empty for none.
        run: one of the offered runs of `evaluate`; empty for the first.
        metric: the metric by which the images of a run are ordered; empty for the default.
        part: identifies one of several pictures of a kind, such as the number of orders; empty for the only one.

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
            OptionError: a parameter is unknown, occurs twice, or is far too long.
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
        """Return the question with only these fields: the key of an answer that depends on no other fields."""
        return Question(**{name: getattr(self, name) for name in names})

    def address(self, **more: str) -> str:
        """Return the question as the encoded query of an address, without empty fields."""
        pairs = [(name, getattr(self, field)) for field, name in address_names().items()]
        return urlencode([(name, value) for name, value in (*pairs, *more.items()) if value])


def address_names() -> dict[str, str]:
    """Return each field's name in addresses, by its name in Python."""
    return {field.name: _ADDRESS_NAMES.get(field.name, field.name) for field in fields(Question)}
