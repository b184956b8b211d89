"""The options that commands share: one name, one meaning, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from shapleycam.errors import ModelError, OptionError

if TYPE_CHECKING:
    from shapleycam.experiments import RunSettings
    from shapleycam.experiments.engines import Engine
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.models.network import Transform
    from shapleycam.values._path import Nodes as Nodes_

ImagePaths: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(metavar="IMAGE", help="Photographs, or folders of them; none: one that comes along."),
]
ImagePath: TypeAlias = Annotated[
    Path | None, typer.Argument(metavar="IMAGE", help="A photograph; none: one that comes along.")
]
Model: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        help="efficientnet_lite0, one of the paper's (resnet50), timm:NAME, torchvision:NAME, hf:NAME, "
        "path/to/file.py:function or package.module:function (see: shapleycam models).",
    ),
]
Checkpoint: TypeAlias = Annotated[
    Path | None, typer.Option("--checkpoint", help="Weights: .safetensors, or a .pth of plain tensors.")
]
Pretrained: TypeAlias = Annotated[
    bool, typer.Option("--pretrained/--no-pretrained", help="Published weights, or an untrained network.")
]
_LAYER = "before-pool (the default), last-conv, or a dotted name (see: shapleycam layers MODEL)."
Layer: TypeAlias = Annotated[str | None, typer.Option("--layer", help=_LAYER)]
Layers: TypeAlias = Annotated[
    list[str] | None, typer.Option("--layer", help=f"{_LAYER} Repeatable: the heatmaps are then fused.")
]
Fuse: TypeAlias = Annotated[
    str, typer.Option("--fuse", help="How heatmaps of several layers become one: mean, maximum or product.")
]
Layout: TypeAlias = Annotated[
    str | None,
    typer.Option("--layout", help="Of the layer, where it cannot be proven: NCHW, NHWC or 'tokens 14x14 after 1'."),
]
Output: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--output", help="The part of what the model returns that is explained, by name or position (from 0)."
    ),
]
UtilityName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--utility",
        help="What is explained: rest, logit, log_probability, probability, log_odds; of labels that stand beside "
        "others sigmoid_rest, sigmoid_log_probability, sigmoid_probability; of a regression value.",
    ),
]
Against: TypeAlias = Annotated[
    str | None,
    typer.Option("--against", metavar="CLASS", help="Why the class and not this one: of the two alone, by --utility."),
]
Methods: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--method", help="A method (see: shapleycam methods), or a set: paper, all. Repeatable."),
]
Target: TypeAlias = Annotated[
    str | None, typer.Option("--target", help="A class, by number or label; default: the predicted one.")
]
Nodes: TypeAlias = Annotated[
    str,
    typer.Option("--nodes", metavar="K|auto", help="Gradients along the path, for pathcam; auto: as many as needed."),
]
Tolerance: TypeAlias = Annotated[
    float,
    typer.Option("--tolerance", help="Standard error, as a share of the values, to which sampledshapley samples."),
]
Players: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--players", metavar="RxC", help="Group cells into R x C regions, for sampledshapley and exactshapley."
    ),
]
Memory: TypeAlias = Annotated[
    int, typer.Option("--memory", min=1, help="Megabytes that a batch of coalitions may take, about.")
]
Out: TypeAlias = Annotated[Path, typer.Option("--out", help="Folder for the files.")]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or mps; default: the GPU if there is one.")
]
BatchSize: TypeAlias = Annotated[int, typer.Option("--batch-size", min=1, help="Photographs per forward pass.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", help="For what is random, with each image's content.")]
View: TypeAlias = Annotated[
    Literal["photo", "input"] | None,
    typer.Option(
        "--view",
        help="Draw over the whole photograph, or over the network's input; explain takes the photograph where it can.",
    ),
]
Data: TypeAlias = Annotated[
    str, typer.Argument(metavar="DATA", help="A folder, an ImageFolder, a list, shards, torchvision:… or hf:…")
]
Results: TypeAlias = Annotated[
    str, typer.Option("--out", help="Folder of the results, or a URL such as s3://bucket/run.")
]
Models: TypeAlias = Annotated[
    list[str] | None, typer.Option("--model", help="As in explain (see: shapleycam models). Repeatable.")
]
Limit: TypeAlias = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many photographs.")]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers", min=0, help="Processes that decode photographs ahead; default: as cores are to spare, 0 of two."
    ),
]
EngineName: TypeAlias = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Where the work is done: here, or by a Ray cluster.")
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address", help="Ray: auto, HOST:PORT or ray://HOST:PORT; default: a cluster of this machine's own."
    ),
]
Actors: TypeAlias = Annotated[
    int | None, typer.Option("--actors", min=1, help="Ray: how many hold the model; default: as many as fit.")
]
ActorCpus: TypeAlias = Annotated[
    int | None,
    typer.Option("--actor-cpus", min=1, help="Ray: CPUs of each; default: one beside a GPU, else all of a node."),
]
ActorGpus: TypeAlias = Annotated[
    float | None,
    typer.Option("--actor-gpus", min=0, help="Ray: GPUs of each, 0.5 say; default: 1 where the cluster has some."),
]
Strict: TypeAlias = Annotated[
    bool, typer.Option("--strict", help="Stop at a photograph that cannot be measured; otherwise it is counted.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Neither progress nor notes.")]

DEFAULT_MODEL = "efficientnet_lite0"
DEFAULT_MEMORY = 64


def demo_photo() -> Path:
    """The photograph that ships with matplotlib."""
    from matplotlib.cbook import get_sample_data

    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def make_explainer(
    model: str,
    checkpoint: Path | None,
    *,
    pretrained: bool,
    layer: str | list[str] | None,
    utility: str,
    device: str | None,
    memory: int = DEFAULT_MEMORY,
    against: str | None = None,
    output: str | None = None,
    **model_options: Any,
) -> Explainer:
    """The explainer that the options describe; the cheap choices are checked before the model is loaded.

    `model_options` are `layout` and `fuse` of `Explainer`, for what a model does not declare of itself.
    """
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.fusing import check_fusion
    from shapleycam.models import zoo
    from shapleycam.models.resolve import default_device
    from shapleycam.utilities import contrast, resolve_utility

    chosen = resolve_utility(utility) if against is None else contrast(against, utility)
    check_fusion(model_options.get("fuse", "mean"))
    network = zoo.load_network(model, checkpoint, pretrained=pretrained)
    where = device or default_device()
    part = int(output) if output is not None and output.isdecimal() else output
    return Explainer(
        network, layer=layer, utility=chosen, device=where, memory=memory * 2**20, output=part, **model_options
    )


def engine_of(
    name: str, address: str | None, actors: int | None, cpus: int | None, gpus: float | None
) -> Engine | None:
    """The engine that the options describe; None for this process.

    Raises:
        OptionError: Ray is not installed, or its options were given without it.
    """
    if name == "ray":
        from shapleycam.experiments.engines import Ray

        return Ray(address, actors, cpus, gpus)
    given = {"--address": address, "--actors": actors, "--actor-cpus": cpus, "--actor-gpus": gpus}
    if asked := [f"{option} {value}" for option, value in given.items() if value is not None]:
        raise OptionError(f"{asked[0]} was given, and the work is done in this process; add --engine ray")
    return None


def setting(
    device: str | None,
    batch_size: int,
    workers: int | None,
    engine: Engine | None,
    *,
    strict: bool = False,
) -> RunSettings:
    """Where and how fast an evaluation runs.

    Raises:
        OptionError: workers of this process where it does not do the work.
    """
    from shapleycam.experiments import RunSettings

    if engine is not None and workers is not None:
        raise OptionError(f"--workers {workers} was given with --engine ray, which decodes by itself; leave it out")
    chosen: dict[str, Any] = {} if workers is None else {"workers": workers}
    return RunSettings(device=device, batch_size=batch_size, strict=strict, engine=engine, **chosen)


def nodes_of(text: str) -> Nodes_:
    """How many nodes `--nodes` means.

    Raises:
        OptionError: neither a whole number from 1 on nor "auto".
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"--nodes {text}: expected a whole number from 1 on, or auto")
    return int(text)


def regions_of(text: str | None) -> tuple[int, int] | None:
    """The grid of regions that `--players` means.

    Raises:
        OptionError: not of the form 3x3.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise OptionError(f"--players {text}: expected rows x columns, such as 3x3")
    return int(sides[0]), int(sides[1])


def transform_of(explainer: Explainer, view: str | None = None) -> Transform:
    """How the model wants photographs.

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
