"""Making the explainer or detector from a command's options, and reading its model's preprocessing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from shapleycam.cli.options import DEFAULT_MODEL
from shapleycam.cli.removal import removal_arguments
from shapleycam.errors import ModelError, OptionError

if TYPE_CHECKING:
    from shapleycam.cli.groups import ComputeGroup, NetworkGroup
    from shapleycam.explaining.detector import Detector
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.layer_search import LayerChoice
    from shapleycam.models.network import Network, Transform
    from shapleycam.utilities import Utility


def make_explainer(network: NetworkGroup, compute: ComputeGroup) -> Explainer:
    """Return the explainer for a command's options; options are checked before the model is loaded, if possible.

    Raises:
        ShapleyCamError: an unknown utility, fusion or model, or a model that cannot be loaded or is a detector.
    """
    from shapleycam.models.detectors import is_detector
    from shapleycam.utilities import contrast, resolve_utility

    against = network.against
    utility = resolve_utility(network.utility) if against is None else contrast(against, network.utility)
    loaded = _load(network, compute)
    if is_detector(loaded.model):
        raise ModelError(
            f"model {loaded.name!r} is a detector; explain one of its boxes: shapleycam explain PHOTO --model "
            f"{loaded.name} --box 0 (the best one; shapleycam compare has --box too)"
        )
    return _explainer(network, network.layer, compute, utility, loaded)


def make_detector(network: NetworkGroup, compute: ComputeGroup) -> Detector:
    """Return the detector for a command's options; they are checked as in `make_explainer`.

    Raises:
        OptionError: an option does not fit the explanation of a box's score.
        ShapleyCamError: an unknown fusion or model, or a model that cannot be loaded or is not a detector.
    """
    from shapleycam.explaining.detector import Detector

    for option, value, default in (
        ("--utility", network.utility, "rest"),
        ("--against", network.against, None),
        ("--output", network.output, None),
    ):
        if value != default and value:
            shown = value if isinstance(value, str) else " ".join(map(str, value))
            raise OptionError(
                f"{option} {shown} and --box were both given; of a box its score is explained: leave one out"
            )
    if network.reference:
        raise OptionError(
            f"--reference {' '.join(map(str, network.reference))} and --box were both given; a box belongs to one "
            "photograph, and reference photographs do not have it: leave --reference out, and --removal mean takes the "
            "mean over the photograph's own places"
        )
    return Detector.of_network(_load(network, compute), partial(_box_explainer, network, compute))


def _load(network: NetworkGroup, compute: ComputeGroup) -> Network:
    """Check the other options, then return the network on its device."""
    from shapleycam.explaining.fusing import check_fusion
    from shapleycam.models import zoo
    from shapleycam.models.resolve import default_device, move_to_device
    from shapleycam.tracing.isolation import device_of
    from shapleycam.tracing.reduced_precision import check_precision

    check_fusion(network.fuse)
    removal_arguments(network.removal, network.reference)
    check_precision(compute.precision)
    loaded = zoo.load_network(network.model or DEFAULT_MODEL, network.checkpoint, pretrained=network.pretrained)
    device = compute.device or default_device()
    return replace(loaded, model=move_to_device(loaded.model, device, device_of(loaded.model)))


def _box_explainer(network: NetworkGroup, compute: ComputeGroup, loaded: Network) -> Explainer:
    """Return an explainer for a detector's scores at one box."""
    from shapleycam.explaining.detector import own_layer_names
    from shapleycam.utilities import box_score

    layer = own_layer_names(network.layer, loaded.model)
    return _explainer(network, layer, compute, box_score(), loaded)


def _explainer(
    network: NetworkGroup, layer: LayerChoice, compute: ComputeGroup, utility: Utility, loaded: Network
) -> Explainer:
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.models.resolve import default_device
    from shapleycam.tracing.reduced_precision import check_precision

    output = network.output
    removal, reference = removal_arguments(network.removal, network.reference)
    return Explainer(
        loaded,
        layer=layer,
        utility=utility,
        device=compute.device or default_device(),
        memory=compute.memory * 2**20,
        precision=check_precision(compute.precision),
        fuse=network.fuse,
        layout=network.layout,
        output=int(output) if output is not None and output.isdecimal() else output,
        removal=removal,
        reference=reference,
    )


def transform_of(explainer: Explainer | Detector, view: str | None = None) -> Transform:
    """Return the preprocessing of an explainer's model.

    Raises:
        ModelError: the model has no preprocessing; or maps shall be drawn over the photograph (`view="photo"`), but the
            preprocessing does not declare the crop's position in it.
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
