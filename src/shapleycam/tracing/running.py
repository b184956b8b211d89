"""Running a model on images, and turning what it raises into one line that says what to do."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError, ShapleyCamError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.models.wrappers import held_network_name, suggest_network
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.input_layer import entrance_of
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.wording import type_and_first_line

_ABOUT_IMAGES = re.compile(
    r"channels?\b|\bshapes?\b|\bsizes?\b|dimension|\d-?d\b|height|width|resolution|\bimages?\b|pixel|"
    r"input type|dtype|double|\bbyte\b",
    re.IGNORECASE,
)
"""What PyTorch and models name when the images have a form that they cannot take."""
_NOT_ABOUT_IMAGES = re.compile(r"cuda|cudnn|out of memory|stride|in-?place|view", re.IGNORECASE)
METHODS_WITHOUT_REPLAY = "a method without a path or sampling (gradcam, hirescam, shapleycam)"
"""What explains a model whose head cannot be run again, as error messages say it; the default method has a path."""


@restore_when_interrupted
def run(
    model: nn.Module,
    images: Tensor,
    extra: ExtraInputs = NO_EXTRA,
    purpose: str = "",
    *,
    own_images: bool = False,
    channels_last: bool = False,
) -> Any:
    """Return the model's output for a batch of images, of which it gets a copy that it may write into.

    In a private copy of a model they go through its entrance, the layer "input". `purpose` says in an error what the
    pass was for, where that was not the images' own; `own_images` leaves out the copy, `channels_last` makes it in that
    order of memory.

    Raises:
        ModelError: the model raises; its own exception is the cause. (Out of memory is passed on as it is.)
    """
    try:
        order = torch.channels_last if channels_last else torch.preserve_format
        entering = images if own_images else images.clone(memory_format=order)
        entrance = entrance_of(model)
        return extra.call(model, entering if entrance is None else entrance(entering))
    except Exception as error:
        if isinstance(error, ShapleyCamError) or is_out_of_memory(error):
            raise
        reason = type_and_first_line(error).rstrip(": ")
        message = f"the model raised {reason}, for images of shape {tuple(images.shape)}"
        if purpose:
            expected = f"expected a model that takes any number of rows: use {METHODS_WITHOUT_REPLAY}"
            raise ModelError(f"{message}, {purpose}; {expected}") from error
        raise ModelError(f"{message}; {_remedy(error, model)}") from error


def _remedy(error: Exception, model: nn.Module) -> str:
    """Return what was expected and what to do.

    Preprocessing is named only where the form of the images can be the cause.
    """
    text = str(error)
    if isinstance(error, TypeError) and re.search(r"forward\(\) missing \d+ required", text):
        return "expected a model of images alone: give its further arguments by inputs="
    if isinstance(error, NotImplementedError) and held_network_name(model):
        return f"expected a network, which it holds in .{held_network_name(model)}: {suggest_network(model)}"
    may_be_form = type(error) in {RuntimeError, ValueError, AssertionError, IndexError}
    if may_be_form and _ABOUT_IMAGES.search(text) and not _NOT_ABOUT_IMAGES.search(text):
        return "expected images that it can take: check preprocess= and their size and channels"
    return "expected a model that runs on them: its own error is the cause of this one"
