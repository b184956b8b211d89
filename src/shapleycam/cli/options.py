"""The options that commands share; each has the same name, meaning and help text in all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

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
        "ultralytics:NAME.yaml, path/to/file.py:function or package.module:function (see: shapleycam models).",
    ),
]
Checkpoint: TypeAlias = Annotated[
    Path | None, typer.Option("--checkpoint", help="Weights: .safetensors, or a .pth of plain tensors.")
]
Pretrained: TypeAlias = Annotated[
    bool, typer.Option("--pretrained/--no-pretrained", help="Published weights, or an untrained network.")
]
_LAYER = "before-pool (the default), last-conv, a dotted name (see: shapleycam layers MODEL), or input: the image."
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
Removal: TypeAlias = Annotated[
    str,
    typer.Option(
        "--removal",
        metavar="zero|mean|blur|impute|drop|samples|FILE",
        help="What stands in for places that are absent: zero (the paper's), mean (over the image's own places, or "
        "over --reference), or a FILE of numbers, .npy or .npz, shaped as the layer's activation. With --layer input "
        "also blur (the image under a Gaussian), impute (filled in from the pixels around), drop (patches left out of "
        "a vision transformer) or samples (each of the --reference photographs).",
    ),
]
InputRemoval: TypeAlias = Annotated[
    str,
    typer.Option(
        "--removal",
        metavar="zero|mean|blur|FILE",
        help="What stands in for absent regions of the photograph: zero, mean (the image's own, or over --reference), "
        "blur, or a FILE of numbers, .npy or .npz, shaped as the network's input. At the layers it is zero.",
    ),
]
Reference: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference",
        metavar="IMAGE",
        help="A photograph, or a folder of them, over which --removal mean takes the layer's mean, or which --removal "
        "samples puts in the place of absent pixels. Repeatable.",
    ),
]
Methods: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--method", help="A method (see: shapleycam methods), or a set: paper, all, field. Repeatable."),
]
Target: TypeAlias = Annotated[
    str | None, typer.Option("--target", help="A class, by number or label; default: the predicted one.")
]
BoxOfDetector: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--box",
        metavar="N|X0,Y0,X1,Y1",
        help="Of a detector the box that is explained: its number, the best is 0, or corners in pixels of the "
        "photograph, for the detected box that overlaps them most; with --target of that class.",
    ),
]
Smooth: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--smooth",
        metavar="NAME,...",
        help="Smooth the map by augment (mirror image and intensities), eigen (the first component of the channels), "
        "noise (noisy images), or several; the values then divide no score.",
    ),
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
Regions: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--players",
        metavar="RxC|NAME",
        help="Group cells into R x C regions, for methods that play the game; with --layer input also superpixels, "
        "superpixels:80 or patches (the model's own).",
    ),
]
OutlinedRegions: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--players",
        metavar="RxC|NAME|FILE",
        help="Group cells into R x C regions, for methods that play the game; with --layer input also superpixels, "
        "superpixels:80, patches (the model's own), or the objects outlined in a PNG mask or COCO .json.",
    ),
]
Runs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--runs",
        min=1,
        help="Runs of what comes after the layer, a photograph, for methods that play the game; default: no limit, and "
        "1000 with --layer input, where each is a run of the model. Methods of masked images that take more "
        "are refused.",
    ),
]
Memory: TypeAlias = Annotated[
    int, typer.Option("--memory", min=1, help="Megabytes that a batch of coalitions may take, about.")
]
Precision: TypeAlias = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Of what comes before the layer: full, the network's own, or bfloat16, faster on CPUs that compute in it; "
        "fidelity measures what it changes.",
    ),
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
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder, an ImageFolder, a list, an archive, shards, a URL, torchvision:NAME:FOLDER or hf:NAME.",
    ),
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
        "--workers",
        min=0,
        help="Processes that decode photographs ahead; default: as cores are to spare, 0 of two; 0 on Windows, macOS "
        "and from Python 3.14 on, where they are slow to start.",
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
RetryErrors: TypeAlias = Annotated[
    bool, typer.Option("--retry-errors", help="Measure again what an earlier session of the run could not measure.")
]
Plan: TypeAlias = Annotated[
    bool,
    typer.Option("--plan", help="Print what there is to do and what it takes, by a short trial; nothing is written."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Neither progress nor notes.")]
Timings: TypeAlias = Annotated[
    bool, typer.Option("--timings", help="Print where the time went, imports included, on stderr.")
]

DEFAULT_MODEL = "efficientnet_lite0"
DEFAULT_MEMORY = 64
