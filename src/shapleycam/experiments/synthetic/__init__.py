"""Images and networks whose right explanation is known by how they are made.

`mosaics` joins photographs that a network is sure of, so that the evidence for a class should lie in its cell (the grid
pointing game). `disconnected` makes a network whose cells cannot interact, so that it must lie there. `PlantedNetwork`
scores one bright patch, and its Shapley values are known in closed form.
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
