"""The options that commands share; each has the same name, meaning and help text in all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

ImagePaths: TypeAlias = Annotated[
    list[Path] | None,
    typer.Argument(metavar="IMAGE", help="Photographs, or folders of them; default: a built-in example."),
]
ImagePath: TypeAlias = Annotated[
    Path | None, typer.Argument(metavar="IMAGE", help="A photograph; default: a built-in example.")
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
    Path | None, typer.Option("--checkpoint", help="A file of weights: .safetensors, or .pth with plain tensors.")
]
Pretrained: TypeAlias = Annotated[
    bool, typer.Option("--pretrained/--no-pretrained", help="Load the published weights, or make an untrained network.")
]
_LAYER = "before-pool (the default), last-conv, a dotted name (see: shapleycam layers MODEL), or input: the image."
Layer: TypeAlias = Annotated[str | None, typer.Option("--layer", help=_LAYER)]
Layers: TypeAlias = Annotated[
    list[str] | None, typer.Option("--layer", help=f"{_LAYER} Repeatable: the heatmaps of several layers are fused.")
]
Fuse: TypeAlias = Annotated[
    str, typer.Option("--fuse", help="How heatmaps of several layers are combined: mean, maximum or product.")
]
Layout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--layout", help="The layout of the layer, if it cannot be proven: NCHW, NHWC or 'tokens 14x14 after 1'."
    ),
]
Output: TypeAlias = Annotated[
    str | None,
    typer.Option("--output", help="The part of the model's output that is explained, by name or position (from 0)."),
]
UtilityName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--utility",
        help="What is explained: rest, logit, log_probability, probability, log_odds; for models with several labels "
        "per image sigmoid_rest, sigmoid_log_probability, sigmoid_probability; for regression value.",
    ),
]
Against: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="CLASS",
        help="Explain why the class and not this one; --utility is computed for these two classes alone.",
    ),
]
Removal: TypeAlias = Annotated[
    str,
    typer.Option(
        "--removal",
        metavar="zero|mean|blur|impute|drop|samples|FILE",
        help="What replaces absent places: zero (as in the paper), mean (over the image's own places, or over "
        "--reference), or a FILE of numbers, .npy or .npz, with the shape of the layer's activation. With --layer "
        "input also blur (the image under a Gaussian), impute (filled in from the surrounding pixels), drop (patches "
        "left out of a vision transformer) or samples (each of the --reference photographs).",
    ),
]
InputRemoval: TypeAlias = Annotated[
    str,
    typer.Option(
        "--removal",
        metavar="zero|mean|blur|FILE",
        help="What replaces absent regions of the photograph: zero, mean (of the image itself, or over --reference), "
        "blur, or a FILE of numbers, .npy or .npz, with the shape of the network's input. At the layers it is zero.",
    ),
]
Reference: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference",
        metavar="IMAGE",
        help="A photograph, or a folder of them. --removal mean takes the layer's mean over them, and --removal "
        "samples puts their pixels in the place of absent ones. Repeatable.",
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
        help="The box of a detector that is explained: its number (0 is the best), or corners in pixels of the "
        "photograph for the detected box with the largest overlap; with --target, a box of that class.",
    ),
]
Smooth: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--smooth",
        metavar="NAME,...",
        help="Smooth the map by augment (mirror image and intensities), eigen (the first component of the channels), "
        "noise (noisy images), or several; the values then do not add up to a score.",
    ),
]
Nodes: TypeAlias = Annotated[
    str,
    typer.Option(
        "--nodes",
        metavar="K|auto",
        help="For pathcam: the number of gradients along the path; auto: as many as needed.",
    ),
]
Tolerance: TypeAlias = Annotated[
    float,
    typer.Option(
        "--tolerance", help="For sampledshapley: sample until the standard error is this share of the values."
    ),
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
        help="For methods that play the game: the maximum number of runs of the layers behind --layer, for each "
        "photograph; default: no limit, but 1000 with --layer input, where each is a run of the model. Methods of "
        "masked images that need more are refused.",
    ),
]
Memory: TypeAlias = Annotated[
    int, typer.Option("--memory", min=1, help="Approximate memory of a batch of coalitions, in megabytes.")
]
Precision: TypeAlias = Annotated[
    str,
    typer.Option(
        "--precision",
        help="The precision before the layer: full (the network's own), or bfloat16, which is faster on CPUs that "
        "support it; the command fidelity measures the difference.",
    ),
]
Out: TypeAlias = Annotated[Path, typer.Option("--out", help="Folder for the files.")]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or mps; default: the GPU if there is one.")
]
BatchSize: TypeAlias = Annotated[int, typer.Option("--batch-size", min=1, help="Photographs per forward pass.")]
Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", help="The seed of random numbers, which also depend on the content of each image.")
]
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
Limit: TypeAlias = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only this number of photographs, from the first on.")
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that decode photographs in advance; default: the number of spare cores (0 with two cores), and "
        "0 on Windows, macOS and from Python 3.14 on, where processes start slowly.",
    ),
]
EngineName: TypeAlias = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Where the work is done: in this process, or on a Ray cluster."),
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address", help="Ray: auto, HOST:PORT or ray://HOST:PORT; default: start a cluster on this machine."
    ),
]
Actors: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--actors", min=1, help="Ray: the number of actors, each with a copy of the model; default: as many as fit."
    ),
]
ActorCpus: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--actor-cpus", min=1, help="Ray: CPUs of each actor; default: one if it has a GPU, otherwise all of a node."
    ),
]
ActorGpus: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--actor-gpus", min=0, help="Ray: GPUs of each actor, such as 0.5; default: 1 if the cluster has GPUs."
    ),
]
Strict: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--strict", help="Stop at a photograph that cannot be measured; without this option it is counted and skipped."
    ),
]
RetryErrors: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--retry-errors", help="Try again the photographs that an earlier session of the run could not measure."
    ),
]
Plan: TypeAlias = Annotated[
    bool,
    typer.Option("--plan", help="Print the work and its expected cost, from a short trial; nothing is written."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object per line on stdout.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Print neither progress nor notes.")]
Timings: TypeAlias = Annotated[
    bool, typer.Option("--timings", help="Print where the time went, imports included, on stderr.")
]

DEFAULT_MODEL = "efficientnet_lite0"
DEFAULT_MEMORY = 64
