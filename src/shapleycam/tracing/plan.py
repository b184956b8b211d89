"""A plan: what a pass must record so that the head of a layer can run again without the modules before it."""

from __future__ import annotations

from dataclasses import dataclass

from shapleycam.tracing.layer_output import LayerOutput


@dataclass(frozen=True)
class BatchGrowth:
    """How a tensor grows with the batch: along dimension `dim`, which holds all images.

    With `image_major` the entries of one image are consecutive in this dimension, as in (images · windows); otherwise
    the entries of all images for one position are, as in (windows · images).
    """

    dim: int = 0
    image_major: bool = True


@dataclass(frozen=True)
class Step:
    """One call of a module that finishes before the layer, and is not inside another such call.

    Attributes:
        module: the module's dotted name.
        call: the index of this call among the calls of the module in a full pass.
        growths: for each tensor that the call returns, how it grows with the batch; None if it does not grow.
        is_read: whether code that runs on replay reads the tensors.
        is_written: whether code that runs on replay writes into the tensors in place.
    """

    module: str
    call: int
    growths: tuple[BatchGrowth | None, ...]
    is_read: bool
    is_written: bool


@dataclass(frozen=True)
class Plan:
    """How the head of one layer runs again.

    Attributes:
        steps: the calls that do not run again, but return their recorded values. A plan without steps runs the whole
            model again.
        reads_images: whether code that runs on replay reads the images.
        writes_activation: whether code that runs on replay writes into the activation in place.
        layer_output: the structure of what the layer returns.
    """

    steps: tuple[Step, ...]
    reads_images: bool
    writes_activation: bool
    layer_output: LayerOutput

    @classmethod
    def without_steps(cls, layer_output: LayerOutput) -> Plan:
        """Return the plan that runs the whole model again, with the activation in place of the layer's output."""
        return cls((), reads_images=True, writes_activation=True, layer_output=layer_output)
