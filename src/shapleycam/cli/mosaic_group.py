"""The options of `evaluate` that make mosaics of the photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.experiments.datasets.dataset import Dataset


@dataclass(frozen=True)
class MosaicGroup:
    """The options of measuring photographs one by one, or joined to mosaics for the grid pointing game."""

    mosaic: Annotated[
        int | None,
        typer.Option(
            "--mosaic",
            metavar="N",
            help="Measure mosaics of N x N photographs that the network is sure of, each of a different class (the "
            "grid pointing game); with --class label the class of one cell is explained, and --metric relevance_mass "
            "is the share of positive values in that cell.",
        ),
    ] = None
    confidence: Annotated[
        float,
        typer.Option(
            "--confidence", help="For --mosaic: the network is sure of a photograph from this probability on."
        ),
    ] = 0.9

    def join(
        self,
        photographs: Dataset,
        models: list[str],
        checkpoint: Path | None,
        *,
        pretrained: bool,
        device: str | None,
        seed: int,
    ) -> Dataset:
        """Return the dataset of mosaics if mosaics were requested, else the dataset of photographs.

        Raises:
            OptionError: several models, or the model is sure of too few photographs.
        """
        if self.mosaic is None:
            return photographs
        if len(models) > 1:
            raise OptionError(
                f"--mosaic {self.mosaic} and {len(models)} models were given; give the one that is sure of them"
            )
        from shapleycam.experiments.synthetic import mosaics
        from shapleycam.models import zoo

        network = zoo.load_network(models[0], checkpoint, pretrained=pretrained)
        return mosaics(photographs, network, self.mosaic, confidence=self.confidence, seed=seed, device=device)
