"""Synthetic images and networks for which the correct explanation is known.

- `mosaics` joins photographs that a network classifies with high confidence. The evidence for the class of a cell
  should lie in this cell (the grid pointing game).
- `disconnected` makes a network whose cells cannot interact, so that the evidence must lie in the cell.
- `PlantedNetwork` scores one bright patch; its Shapley values are known in closed form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.lazy_names import import_name

if TYPE_CHECKING:
    from shapleycam.experiments.synthetic._disconnected import disconnected
    from shapleycam.experiments.synthetic._mosaics import mosaics
    from shapleycam.experiments.synthetic.mosaic_dataset import MosaicDataset
    from shapleycam.experiments.synthetic.planted import (
        PlantedDataset,
        PlantedLayout,
        PlantedNetwork,
        planted_dataset,
        planted_image,
        planted_values,
    )

_MODULE_OF = {
    "MosaicDataset": "mosaic_dataset",
    "PlantedDataset": "planted",
    "PlantedLayout": "planted",
    "PlantedNetwork": "planted",
    "disconnected": "_disconnected",
    "mosaics": "_mosaics",
    "planted_dataset": "planted",
    "planted_image": "planted",
    "planted_values": "planted",
}

__all__ = [
    "MosaicDataset",
    "PlantedDataset",
    "PlantedLayout",
    "PlantedNetwork",
    "disconnected",
    "mosaics",
    "planted_dataset",
    "planted_image",
    "planted_values",
]


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted(__all__)
