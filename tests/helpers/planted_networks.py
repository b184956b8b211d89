"""The networks of `shapleycam.experiments.synthetic` in which one patch decides the class, under short names."""

from shapleycam.experiments.synthetic import PlantedLayout as Plan
from shapleycam.experiments.synthetic import PlantedNetwork as Planted
from shapleycam.experiments.synthetic import planted_image as image_of
from shapleycam.experiments.synthetic.planted import STRIDE

__all__ = ["STRIDE", "Plan", "Planted", "image_of"]
