"""Run a model on images, and turn an exception that it raises into one line that says what to do."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.foreign_errors import convert_errors_of_function
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
"""Words in the exceptions of PyTorch and models that do not accept the form of the images."""
_NOT_ABOUT_IMAGES = re.compile(r"cuda|cudnn|out of memory|stride|in-?place|view", re.IGNORECASE)
METHODS_WITHOUT_REPLAY = "a method without a path or sampling (gradcam, hirescam, shapleycam)"
"""The methods for a model whose head cannot be run again, as messages name them. The default method has a path."""


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
    """Return the model's output for a batch of images.

    The model gets a copy of the images, because it may write into them. A private copy of a model gets them through its
    entrance, the layer "input".

    Args:
        model: a model, or a private copy of it.
        images: the batch.
        extra: further inputs of the model.
        purpose: for an error message, what the pass was for, if it was not to run the user's images.
        own_images: the images belong to the caller, who does not need them any more: do not copy them.
        channels_last: make the copy in the memory order channels_last.

    Raises:
        ModelError: the model raises; its own exception is the cause. (An out-of-memory error is raised unchanged.)
    """
    order = torch.channels_last if channels_last else torch.preserve_format
    entrance = entrance_of(model)
    with convert_errors_of_function(lambda error: _model_error(error, model, images, purpose)):
        entering = images if own_images else images.clone(memory_format=order)
        return extra.call(model, entering if entrance is None else entrance(entering))


def _model_error(error: Exception, model: nn.Module, images: Tensor, purpose: str) -> ModelError:
    """Return the error for a model that raised an error."""
    reason = type_and_first_line(error).rstrip(": ")
    message = f"the model raised {reason}, for images of shape {tuple(images.shape)}"
    if purpose:
        expected = f"expected a model that takes any number of rows: use {METHODS_WITHOUT_REPLAY}"
        return ModelError(f"{message}, {purpose}; {expected}")
    return ModelError(f"{message}; {_remedy(error, model)}")


def _remedy(error: Exception, model: nn.Module) -> str:
    """Return what was expected and what to do, as the end of an error message.

    It names preprocessing only if the form of the images can be the cause.
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
