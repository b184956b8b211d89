"""`Plan`: what to record in a pass so that the head of a layer can run again without the modules before the layer."""

from __future__ import annotations

from dataclasses import dataclass

from shapleycam.tracing.layer_output import LayerOutput


@dataclass(frozen=True)
class BatchGrowth:
    """How a tensor grows with the batch: along dimension `dim`.

    With `image_major` all entries of an image are contiguous along this dimension; otherwise the entries of all images
    for one position are.
    """

    dim: int = 0
    image_major: bool = True


@dataclass(frozen=True)
class Step:
    """One call of a module that finishes before the layer, and is not inside another such call.

    Attributes:
        module: the module's dotted name.
        call: the index of the call among the module's calls in a full pass.
        growths: for each returned tensor, how it grows with the batch; None if it does not.
        is_read: whether code that runs during a replay reads the output.
        is_written: whether such code writes into the output in place.
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
        steps: the calls that return their recorded outputs; a plan without steps runs the whole model again.
        reads_images: whether code that runs during a replay reads the images.
        writes_activation: whether such code writes into the activation in place.
        layer_output: the structure of the layer's output.
    """

    steps: tuple[Step, ...]
    reads_images: bool
    writes_activation: bool
    layer_output: LayerOutput

    @classmethod
    def without_steps(cls, layer_output: LayerOutput) -> Plan:
        """Return the plan that runs the whole model again, with the activation in place of the layer's output."""
        return cls((), reads_images=True, writes_activation=True, layer_output=layer_output)
