"""The explainer that a command's options describe, and how its model wants photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapleycam.cli.options import DEFAULT_MODEL
from shapleycam.cli.removal import removal_arguments
from shapleycam.errors import ModelError

if TYPE_CHECKING:
    from shapleycam.cli.groups import ComputeGroup, NetworkGroup
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.models.network import Transform


def make_explainer(network: NetworkGroup, compute: ComputeGroup) -> Explainer:
    """Return the explainer that the options describe; what is cheap to check is checked before the model is loaded.

    Raises:
        ShapleyCamError: an unknown utility, fusion or model, or a model that cannot be loaded.
    """
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.fusing import check_fusion
    from shapleycam.models import zoo
    from shapleycam.models.resolve import default_device
    from shapleycam.tracing.reduced_precision import check_precision
    from shapleycam.utilities import contrast, resolve_utility

    against, output = network.against, network.output
    utility = resolve_utility(network.utility) if against is None else contrast(against, network.utility)
    check_fusion(network.fuse)
    removal, reference = removal_arguments(network.removal, network.reference)
    precision = check_precision(compute.precision)
    return Explainer(
        zoo.load_network(network.model or DEFAULT_MODEL, network.checkpoint, pretrained=network.pretrained),
        layer=network.layer,
        utility=utility,
        device=compute.device or default_device(),
        memory=compute.memory * 2**20,
        precision=precision,
        fuse=network.fuse,
        layout=network.layout,
        output=int(output) if output is not None and output.isdecimal() else output,
        removal=removal,
        reference=reference,
    )


def transform_of(explainer: Explainer, view: str | None = None) -> Transform:
    """Return the preprocessing of an explainer's model.

    Raises:
        ModelError: it does not say, or not where its crop lies in a photograph that is to be drawn over.
    """
    from shapleycam.models.preprocess import Preprocess

    transform = explainer.preprocess
    if transform is None:
        raise ModelError(
            f"model {explainer.name!r} does not say how it wants photographs; let the function return "
            "shapleycam.Network(model, preprocess=..., labels=...)"
        )
    if view == "photo" and not isinstance(transform, Preprocess):
        raise ModelError(
            f"--view photo: where the crop of model {explainer.name!r} lies in a photograph is not known, since its "
            f"preprocess= is a {type(transform).__name__}, not a shapleycam.Preprocess; use --view input"
        )
    return transform
