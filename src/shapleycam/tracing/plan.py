"""What must be recorded of a pass so that the head of a layer can run again without the modules before it."""

from __future__ import annotations

from dataclasses import dataclass

from shapleycam.tracing.layer_output import LayerOutput


@dataclass(frozen=True)
class BatchGrowth:
    """Where the images are in a tensor that grows with the batch: along dimension `dim`.

    With `image_major` all that belongs to one image follows each other there (image by image, then positions);
    otherwise the images of one position do.
    """

    dim: int = 0
    image_major: bool = True


@dataclass(frozen=True)
class Step:
    """One call of a module that finishes before the layer, inside no other such call.

    `call` is its number among the module's calls of a full pass; `growths` says of each tensor that it returns how it
    grows with the batch (None: it does not); `is_read`, whether code that runs on replay reads it; `is_written`,
    whether such code writes into it in place.
    """

    module: str
    call: int
    growths: tuple[BatchGrowth | None, ...]
    is_read: bool
    is_written: bool


@dataclass(frozen=True)
class Plan:
    """How the head of one layer runs again.

    `steps` are the calls that are not run again but return what they returned; a plan without steps runs the whole
    model again. `reads_images` and `writes_activation` say whether code that runs on replay reads the images, and
    writes into the activation in place. `layer_output` is the structure of what the layer returns.
    """

    steps: tuple[Step, ...]
    reads_images: bool
    writes_activation: bool
    layer_output: LayerOutput

    @classmethod
    def without_steps(cls, layer_output: LayerOutput) -> Plan:
        """Return the plan that runs the whole model again, with the activation in place of the layer's output."""
        return cls((), reads_images=True, writes_activation=True, layer_output=layer_output)
