"""Reproducing the maps of a run for a report that the command line writes."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.cli.messages import options_in_errors
from shapleycam.errors import ShapleyCamError
from shapleycam.experiments import Store
from shapleycam.explanations.comparison import Comparison
from shapleycam.report import MapReproducer


class CommandLineReproducer(MapReproducer):
    """A `MapReproducer` whose errors name options of the command line, for the report and the terminal.

    Attributes:
        problems: the reasons why maps could not be reproduced, each once.
    """

    def __init__(self, stores: Sequence[Store], trusted: str | None, data: str | None, device: str | None) -> None:
        super().__init__(stores, trusted, data, device)
        self.problems: dict[str, None] = {}

    def maps(self, model: str, layer: str, utility: str, index: int, target: int) -> Comparison:
        """Explain a photograph by all methods that the runs measured for a model.

        Raises:
            ShapleyCamError: the photograph or the model is not available, or differs from the one of the run.
        """
        try:
            with options_in_errors():
                return super().maps(model, layer, utility, index, target)
        except ShapleyCamError as error:
            self.problems[str(error)] = None
            raise
