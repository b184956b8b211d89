"""Detectors: their preprocessing, the boxes that they find, and the class scores of one of these held fixed."""

from shapleycam.models.detectors.adapting import as_box_scores, detector_network, is_detector
from shapleycam.models.detectors.base import BoxScores, Candidates

__all__ = ["BoxScores", "Candidates", "as_box_scores", "detector_network", "is_detector"]
