"""pytorch-grad-cam's helpers beside its methods."""

from shapleycam.compat.grad_cam.utils import model_targets, reshape_transforms
from shapleycam.compat.grad_cam.utils.image import deprocess_image

__all__ = ["deprocess_image", "model_targets", "reshape_transforms"]
