"""Removal: what replaces the content of absent players.

The activation of a coalition is A at the positions of its players and R at all other positions. R is zero in the paper;
it may also be a mean, a tensor, or the result of a function of A. Some removals at the image have no single R: the
replacement depends on which positions are absent, or there are several replacements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import DerivativeError, OptionError
from shapleycam.game.dropping import dropping_runners
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_runner import HeadRunner
from shapleycam.game.imputed import imputing_runners
from shapleycam.game.players import Players
from shapleycam.game.removal_functions import apply_to_images
from shapleycam.game.removal_names import hash_of_tensor
from shapleycam.game.replacement_checks import check_numbers, like_activation
from shapleycam.game.sampled_removal import refuse_without_samples
from shapleycam.game.stand_ins import blurred, own_mean
from shapleycam.models.layout import Layout
from shapleycam.names import canonical_name, nearest
from shapleycam.tracing import Trace
from shapleycam.tracing.input_layer import image_as_layer

StandIn: TypeAlias = "Callable[[Tensor, Layout], Any]"
"""A function from an activation A (b, ...) and its layout to R (b, ...)."""
RunnerMaker: TypeAlias = "Callable[[Trace, Tensor, Players], Sequence[HeadRunner]]"
"""A function from a pass, an activation A (b, ...) and players to runners; a coalition's value is their mean."""
RemovalChoice: TypeAlias = "str | Tensor | Callable[[Tensor], Any] | Removal"
"""What a user may give as removal: one of the names in `NAMED`, a tensor, or a function of the activation."""


@dataclass(frozen=True, eq=False)
class Removal:
    """What replaces the content of absent players, and its name in results.

    Attributes:
        name: the name in results; different removals have different names, except functions with the same name.
        stand_in: returns R (b, ...) for an activation and its layout; None for zero.
        function: the user's function, if `stand_in` calls one.
        is_of_images: whether it is defined for images, and so for layer "input" only.
        runners: returns the runners that evaluate coalitions if there is no single R; None if there is one.

    Examples:
        >>> import torch
        >>> from shapleycam.game.removal import resolve_removal
        >>> from shapleycam.models.layout import Layout
        >>> activation = torch.tensor([[[1.0], [5.0]]])
        >>> resolve_removal("mean").replacement(activation, Layout("tokens", (1, 2)), "encoder")
        tensor([[[3.],
                 [3.]]])
    """

    name: str
    stand_in: StandIn | None = None
    function: Callable[[Tensor], Any] | None = None
    is_of_images: bool = False
    runners: RunnerMaker | None = None

    @property
    def is_fixed(self) -> bool:
        """Return whether there is a single R, the same for all coalitions, as derivatives need it."""
        return self.runners is None

    @property
    def is_zero(self) -> bool:
        """Return whether absent content is 0."""
        return self.is_fixed and self.stand_in is None

    def check_fixed(self, what: str) -> None:
        """Refuse `what`, which needs a single R (such as a method of derivatives), if the removal has none.

        Raises:
            DerivativeError: the removal has no single R.
        """
        if not self.is_fixed:
            fixed = ", ".join(repr(removal.name) for removal in NAMED.values() if removal.is_fixed)
            raise DerivativeError(
                f"{what} goes from the image to one in which all is removed, and removal {self.name!r} has no single "
                f"such image; expected a method that plays the game, such as 'sampledshapley', or removal {fixed}"
            )

    @property
    def identity(self) -> tuple[Any, ...]:
        """Return what distinguishes this removal from others: the name, and the function, if there is one."""
        return self.name, self.function

    def once(self) -> Removal:
        """Return the same removal for one batch: R is computed once and shared by all games of the batch."""
        if self.stand_in is None:
            return self
        make, made = self.stand_in, list[Any]()

        def stand_in(activation: Tensor, layout: Layout) -> Any:
            if not made:
                made.append(make(activation, layout))
            return made[0]

        return replace(self, stand_in=stand_in)

    def check_layer(self, layer: str, *, is_image: bool) -> None:
        """Refuse a removal that is defined for images if the layer is not "input".

        Raises:
            OptionError: the removal is for images, and the layer is not "input".
        """
        if self.is_of_images and not is_image:
            others = " or ".join(repr(removal.name) for removal in NAMED.values() if not removal.is_of_images)
            raise OptionError(
                f"removal {self.name!r} is of images, and layer {layer!r} is inside the model; expected "
                f"{image_as_layer(layer)}, or removal {others}"
            )

    def replacement(
        self, activation: Float[Tensor, "b *shape"], layout: Layout, layer: str
    ) -> Float[Tensor, "b *shape"] | None:
        """Return R as a new tensor of the activation's shape, or None for zero.

        Raises:
            OptionError: R is not a finite floating-point tensor that fits the activation.
        """
        if self.stand_in is None:
            return None
        with without_gradients():
            replacement = self.stand_in(activation.detach().clone(), layout)
            return like_activation(replacement, activation, layout, f"removal {self.name!r} at layer {layer!r}")


ZERO = Removal("zero")
OWN_MEAN = Removal("mean", own_mean)
BLUR = Removal("blur", blurred, is_of_images=True)
IMPUTE = Removal("impute", is_of_images=True, runners=imputing_runners)
DROP = Removal("drop", is_of_images=True, runners=dropping_runners)
SAMPLES = Removal("samples", is_of_images=True, runners=refuse_without_samples)
"""The removal with reference photographs, before the user has given the photographs."""
NAMED = {removal.name: removal for removal in (ZERO, OWN_MEAN, BLUR, IMPUTE, DROP, SAMPLES)}
"""The removals that a user may give by name."""


def resolve_removal(choice: RemovalChoice) -> Removal:
    """Return the removal for a name, a tensor or a function.

    Args:
        choice: one of
            "zero";
            "mean", over each image's own positions;
            at layer "input": "blur", the image under a Gaussian filter; "impute", ROAD's noisy imputation from the
            present pixels; "drop", which gives a plain vision transformer no tokens of absent patches; "samples", each
            of the reference photographs of `Explainer`;
            a tensor (b, ...), a tensor of the shape of one image's activation, or a tensor (channels,);
            a function that returns such a tensor for an activation (b, ...) and treats each image independently. It is
            called once for each batch, with a copy of the activation. It is called again for the first and the last
            image only: a function that mixes images or draws random numbers gives another result there and is refused.

    Raises:
        OptionError: another choice, or a tensor that is not finite and floating-point.

    Examples:
        >>> import torch
        >>> from shapleycam.game.removal import resolve_removal
        >>> resolve_removal("Mean").name, resolve_removal(torch.ones(4)).name.split()[0]
        ('mean', 'tensor')
    """
    if isinstance(choice, Removal):
        return choice
    if isinstance(choice, str):
        name = canonical_name(choice, NAMED)
        if name is None:
            raise OptionError(f"removal {choice!r} is unknown; {nearest(choice, NAMED)}, or a tensor or a function")
        return NAMED[name]
    if isinstance(choice, torch.Tensor):
        return removal_by_tensor(choice, "tensor")
    if callable(choice):
        name = getattr(choice, "__name__", type(choice).__name__)
        return Removal(f"function {name}", lambda activation, _: apply_to_images(choice, name, activation), choice)
    raise OptionError(
        f"removal is a {type(choice).__name__}; expected {' or '.join(map(repr, NAMED))}, a tensor like the layer's "
        "activation, or a function that makes one of the activation"
    )


def check_reference(name: str, *, is_given: bool) -> None:
    """Refuse reference photographs for a removal that does not use them, and a removal that needs them without any.

    Raises:
        OptionError: the removal of this name does not use reference photographs, or needs them.
    """
    if is_given and name not in {OWN_MEAN.name, SAMPLES.name}:
        raise OptionError(
            f"reference= was given with removal {name!r}; expected removal='mean', which takes the layer's mean over "
            "the reference photographs, or removal='samples', which puts each of them in the place of absent pixels"
        )
    if not is_given and name == SAMPLES.name:
        refuse_without_samples()


def removal_by_tensor(tensor: Tensor, kind: str) -> Removal:
    """Return the removal that replaces absent content with a copy of a tensor; its name has a hash of the tensor.

    Raises:
        OptionError: the tensor is not finite and floating-point.
    """
    check_numbers(tensor, "removal")
    with torch.inference_mode(mode=False), torch.no_grad():
        content = tensor.detach().clone()
    return Removal(f"{kind} {hash_of_tensor(content)}", lambda _activation, _layout: content)
