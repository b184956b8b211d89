"""Derivatives and coalitions of a layer by plain forward hooks and autograd, to compare the library's with.

Nothing of the library is used. The layer's output is swapped for a tensor of ours, and the whole model runs each time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


def logit(z: Tensor, target: Tensor) -> Tensor:
    """z_c; of a single logit z for class 1 and -z for class 0."""
    both = torch.cat([-z, z], 1) if z.shape[1] == 1 else z
    return both.gather(1, target[:, None])[:, 0]


def log_probability(z: Tensor, target: Tensor) -> Tensor:
    """Log softmax(z)_c; of a single logit log σ(z) for class 1 and log σ(-z) for class 0."""
    return F.logsigmoid(logit(z, target)) if z.shape[1] == 1 else logit(F.log_softmax(z, 1), target)


UTILITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "logit": logit,
    "log_probability": log_probability,
    "rest": lambda z, target: logit(z, target) + log_probability(z, target),
}


class ByHand:
    """One layer of a model in eval mode, for one batch of images; `logits` takes them from what the model returns."""

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        images: Tensor,
        utility: str = "rest",
        logits: Callable[[Any], Tensor] = lambda output: output,
    ) -> None:
        self._model, self._layer, self._images = model, model.get_submodule(layer), images
        self._utility, self._logits = UTILITIES[utility], logits
        activations: list[Tensor] = []
        with torch.no_grad():
            self.output = self._run(lambda value: activations.append(value.clone()))
        (self.activation,) = activations

    def outputs(self, activation: Tensor) -> Tensor:
        """The logits where the layer returns this activation in place of its own."""
        return self._run(lambda _: activation.clone())

    def utilities(self, activation: Tensor, target: Tensor) -> Tensor:
        """The utility (b,) of each image where the layer returns this activation."""
        return self._utility(self.outputs(activation), target)

    def gradient(self, target: Tensor, activation: Tensor | None = None) -> Tensor:
        """∂U/∂A at an activation, by default the layer's own; zeros where the output does not depend on it."""
        leaf, total = self._recorded(target, self.activation if activation is None else activation)
        if not total.requires_grad:
            return torch.zeros_like(leaf)
        return torch.autograd.grad(total, leaf, materialize_grads=True)[0]

    def hessian_vector(self, target: Tensor, vector: Tensor) -> Tensor:
        """H·vector, H = ∂²U/∂A² at the layer's own activation."""
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            leaf, total = self._recorded(target, self.activation)
            if not total.requires_grad:
                return torch.zeros_like(leaf)
            (gradient,) = torch.autograd.grad(total, leaf, create_graph=True, materialize_grads=True)
            if not gradient.requires_grad:
                return torch.zeros_like(leaf)
            return torch.autograd.grad((gradient * vector).sum(), leaf, materialize_grads=True)[0]

    def _recorded(self, target: Tensor, activation: Tensor) -> tuple[Tensor, Tensor]:
        leaf = activation.detach().clone().requires_grad_()
        with torch.enable_grad(), PlainNorms():
            return leaf, self.utilities(leaf, target).sum()

    def _run(self, change: Callable[[Tensor], Tensor | None]) -> Tensor:
        """The logits, with the layer's output changed; it stays as it is where `change` returns None."""

        def hook(_module: nn.Module, _inputs: Any, value: Any) -> Any:
            tensor = value if isinstance(value, Tensor) else next(iter(_parts(value)))
            changed = change(tensor)
            return value if changed is None else _swapped(value, changed)

        handle = self._layer.register_forward_hook(hook)
        try:
            return self._logits(self._model(self._images.clone()))
        finally:
            handle.remove()


@contextmanager
def by_slow_path() -> Iterator[None]:
    """Without PyTorch's fast path for transformers, which runs no hooks of the modules inside."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class PlainNorms(TorchFunctionMode):
    """Inside, batch norm (in eval mode) and instance norm are computed by plain arithmetic.

    The backward that both share on a CPU is wrong for one image whose gradient has transposed strides: behind tokens,
    and of instance norm in channels_last.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Put the arithmetic in the place of the kernel."""
        if func in {F.batch_norm, F.instance_norm}:
            call = inspect.signature(func).bind(*args, **(kwargs or {}))
            call.apply_defaults()
            return _normed(**call.arguments)
        return func(*args, **(kwargs or {}))


def _normed(  # the arguments of F.batch_norm and F.instance_norm
    *,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    training: bool = False,
    use_input_stats: bool = False,
    **_: Any,
) -> Tensor:
    def over(numbers: Tensor) -> Tensor:
        return numbers.reshape(-1, *[1] * (input.dim() - 2))

    if use_input_stats:  # each channel of each image by its own
        places = tuple(range(2, input.dim()))
        mean, variance = input.mean(places, keepdim=True), input.var(places, correction=0, keepdim=True)
    elif training or running_mean is None or running_var is None:  # of kernels that are standardised, say
        places = (0, *range(2, input.dim()))
        mean, variance = input.mean(places, keepdim=True), input.var(places, correction=0, keepdim=True)
    else:
        mean, variance = over(running_mean), over(running_var)
    normed = (input - mean) * (variance + eps).rsqrt()
    scaled = normed if weight is None else normed * over(weight)
    return scaled if bias is None else scaled + over(bias)


def _parts(value: Any) -> list[Tensor]:
    parts = value.values() if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, Tensor)]


def _swapped(value: Any, tensor: Tensor) -> Any:
    """What a layer returned, with `tensor` in the place of its only tensor."""
    if isinstance(value, Tensor):
        return tensor
    if isinstance(value, dict):
        return type(value)({key: tensor if isinstance(part, Tensor) else part for key, part in value.items()})
    return type(value)(tensor if isinstance(part, Tensor) else part for part in value)
