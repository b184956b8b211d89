"""Removal: what stands in for the content of absent players, as part of the question that is asked of a head.

The activation of a coalition has A at the positions of its players and R at those of all others. R is zero in the
paper; it may be a mean, a tensor, or what a function makes of A. Removals at the image may also have no single R: what
stands in then depends on which positions are absent, or there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import DerivativeError, OptionError, nearest
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
from shapleycam.names import canonical_name
from shapleycam.tracing import Trace
from shapleycam.tracing.input_layer import image_as_layer

StandIn: TypeAlias = "Callable[[Tensor, Layout], Any]"
"""Makes R (b, ...) of an activation A (b, ...) and its layout."""
RunnerMaker: TypeAlias = "Callable[[Trace, Tensor, Players], Sequence[HeadRunner]]"
"""Makes of a pass, an activation A (b, ...) and its players what evaluates coalitions: their worth is the mean."""
RemovalChoice: TypeAlias = "str | Tensor | Callable[[Tensor], Any] | Removal"
"""What a user may give as removal: one of the names in `NAMED`, a tensor, or a function of the activation."""


@dataclass(frozen=True, eq=False)
class Removal:
    """What stands in for the content of absent players, and its name in results.

    Attributes:
        name: what it is in words; another removal has another name, apart from functions of one name.
        stand_in: makes R (b, ...) of an activation and its layout; None for zero.
        function: the user's own, where `stand_in` calls one.
        is_of_images: whether it is made of an image, and so for the layer "input" alone.
        runners: makes what evaluates coalitions, where there is no single R; None where there is.

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
        """Return whether one activation R stands in, whatever the coalition, so that derivatives can begin there."""
        return self.runners is None

    @property
    def is_zero(self) -> bool:
        """Return whether absent content is 0."""
        return self.is_fixed and self.stand_in is None

    def check_fixed(self, what: str) -> None:
        """Refuse what needs a single R, such as a method of derivatives.

        Raises:
            DerivativeError: there is none.
        """
        if not self.is_fixed:
            fixed = ", ".join(repr(removal.name) for removal in NAMED.values() if removal.is_fixed)
            raise DerivativeError(
                f"{what} goes from the image to one in which all is removed, and removal {self.name!r} has no single "
                f"such image; expected a method that plays the game, such as 'sampledshapley', or removal {fixed}"
            )

    @property
    def identity(self) -> tuple[Any, ...]:
        """Return what tells this removal from others: functions of one name are compared by themselves."""
        return self.name, self.function

    def once(self) -> Removal:
        """Return the same removal for one batch: what stands in is made once, however many games are played of it."""
        if self.stand_in is None:
            return self
        make, made = self.stand_in, list[Any]()

        def stand_in(activation: Tensor, layout: Layout) -> Any:
            if not made:
                made.append(make(activation, layout))
            return made[0]

        return replace(self, stand_in=stand_in)

    def check_layer(self, layer: str, *, is_image: bool) -> None:
        """Refuse a removal that is made of an image at another layer than "input".

        Raises:
            OptionError: it is.
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
        """Return R, a tensor of its own like the activation, or None for zero.

        Raises:
            OptionError: what should stand in is no finite floating-point tensor of the activation's shape.
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
"""The removal by reference photographs, before these are known."""
NAMED = {removal.name: removal for removal in (ZERO, OWN_MEAN, BLUR, IMPUTE, DROP, SAMPLES)}
"""The removals that a user may give by name."""


def resolve_removal(choice: RemovalChoice) -> Removal:
    """Return the removal that a name, a tensor or a function means.

    Args:
        choice: "zero"; "mean", over each image's own positions; at layer "input" also "blur", the image under a
            Gaussian, "impute", what ROAD's noisy imputation makes of the pixels that are present, "drop", by which a
            plain vision transformer gets no tokens of absent patches, and "samples", each of the reference photographs
            that `Explainer` takes; a tensor (..., as the activation without its batch), (b, ...) or (channels,); or a
            function that takes an activation (b, ...) and returns such a tensor, made of each image by itself. It is
            called once a batch, with a copy of the activation, and once more for the first and the last image alone, by
            which a function is refused that mixes images, or draws.

    Raises:
        OptionError: none of these, or a tensor that is not of finite floating-point numbers.

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
    """Refuse reference photographs for a removal that takes none, and a removal by them without any.

    Raises:
        OptionError: the removal of this name takes none, or needs some.
    """
    if is_given and name not in {OWN_MEAN.name, SAMPLES.name}:
        raise OptionError(
            f"reference= was given with removal {name!r}; expected removal='mean', which takes the layer's mean over "
            "the reference photographs, or removal='samples', which puts each of them in the place of absent pixels"
        )
    if not is_given and name == SAMPLES.name:
        refuse_without_samples()


def removal_by_tensor(tensor: Tensor, kind: str) -> Removal:
    """Return the removal that replaces the content of absent players by a copy of a tensor, named by its content.

    Raises:
        OptionError: it is not of finite floating-point numbers.
    """
    check_numbers(tensor, "removal")
    with torch.inference_mode(mode=False), torch.no_grad():
        content = tensor.detach().clone()
    return Removal(f"{kind} {hash_of_tensor(content)}", lambda _activation, _layout: content)
