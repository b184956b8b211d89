"""The runs of `evaluate` that the operator offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shapleycam.errors import OptionError
from shapleycam.experiments import Store
from shapleycam.names import nearest


class Runs:
    """The runs that the operator offers, by short names; no other run can be opened.

    Examples:
        >>> from shapleycam.web.runs import Runs
        >>> Runs(["a/one", "b/two/"]).names, Runs(["results/may/four", "results/june/four"]).names
        (['one', 'two'], ['may/four', 'june/four'])
    """

    def __init__(self, places: Sequence[str]) -> None:
        different = dict.fromkeys(place if "://" in place else str(Path(place).absolute()) for place in places)
        parts = [place.rstrip("/").split("/") for place in different]
        self._places = {_shortest_name(each, parts): place for each, place in zip(parts, different, strict=True)}

    @property
    def names(self) -> list[str]:
        """Return the names of the runs."""
        return list(self._places)

    @property
    def places(self) -> list[str]:
        """Return the folders or addresses of the runs."""
        return list(self._places.values())

    def open(self, name: str) -> Store:
        """Open a run; an empty name means the first.

        Raises:
            OptionError: no run is offered, this one is not offered, or it has no results.
        """
        if not self._places:
            raise OptionError("no run is offered by this page; ask its operator for one")
        if name and name not in self._places:
            raise OptionError(f"run {name!r} is not offered by this page; {nearest(name, self._places)}")
        return Store(self._places[name or next(iter(self._places))])


def _shortest_name(parts: Sequence[str], all_parts: Sequence[Sequence[str]]) -> str:
    """Return the fewest parts from the end of a place that identify it among all places."""
    for count in range(1, len(parts)):
        if sum(each[-count:] == parts[-count:] for each in all_parts) == 1:
            return "/".join(parts[-count:])
    return "/".join(parts)
