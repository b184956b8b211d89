"""pytorch-grad-cam's metrics: how the score of a target changes when the image is changed by a map."""
