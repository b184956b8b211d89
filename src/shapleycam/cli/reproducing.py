"""Reproduces the maps of a run for a report that the command line writes."""

from __future__ import annotations

from shapleycam.cli.messages import options_in_errors
from shapleycam.explanations.comparison import Comparison
from shapleycam.report import MapReproducer


class CommandLineReproducer(MapReproducer):
    """A reproducer of maps whose errors name options: the report says by them why it has no maps."""

    def maps(self, model: str, layer: str, utility: str, index: int, target: int) -> Comparison:
        """Explain a photograph by all methods that the runs have of a model.

        Raises:
            ShapleyCamError: the photograph or the model is not available, or is not the one of the run.
        """
        with options_in_errors():
            return super().maps(model, layer, utility, index, target)
