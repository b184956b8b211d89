"""`shapleycam explain`: one overlay an image, and a few lines each: class, score, where it went."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_error, print_facts, print_json, progress
from shapleycam.cli.messages import name_options
from shapleycam.cli.photographs import found
from shapleycam.errors import OptionError
from shapleycam.urls import url_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.cli.explaining import Explained, Photograph


def explain(
    images: options.ImagePaths = None,
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: options.Layers = None,
    fuse: options.Fuse = "mean",
    layout: options.Layout = None,
    output: options.Output = None,
    utility: options.UtilityName = "rest",
    against: options.Against = None,
    method: options.Methods = None,
    target: options.Target = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, help="Explain the K most likely classes, side by side; default 1 (3 in the tour)."
        ),
    ] = None,
    nodes: options.Nodes = "8",
    tolerance: options.Tolerance = 0.01,
    players: options.Players = None,
    out: options.Out = Path(),
    view: options.View = None,
    save: Annotated[bool, typer.Option("--save", help="Also write the numbers, as NPZ.")] = False,
    device: options.Device = None,
    batch_size: options.BatchSize = 16,
    engine: options.EngineName = "local",
    address: options.Address = None,
    actors: options.Actors = None,
    actor_cpus: options.ActorCpus = None,
    actor_gpus: options.ActorGpus = None,
    seed: options.Seed = 0,
    memory: options.Memory = options.DEFAULT_MEMORY,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show why the model calls a photograph what it does.

    - `shapleycam explain` explains a photograph that comes along, with the default model, offline.
    - `shapleycam explain cat.jpg dogs/ --out maps` writes one overlay a photograph to the folder `maps`.
    - `shapleycam explain cat.jpg --target lynx --method gradcam --method pathcam` asks why it could be a lynx.
    - `shapleycam explain cat.jpg --target lynx --against tabby` asks why it is a lynx and not a tabby.
    - `shapleycam explain cat.jpg --method sampledshapley` gives the true Shapley values, and where they are not sure.
    - `shapleycam explain cat.jpg --model timm:resnet18 --checkpoint mine.safetensors` uses your own weights.
    - `shapleycam explain photos/ --engine ray --address auto --out maps` explains a folder by a cluster.
    """
    from shapleycam.cams.table import expand
    from shapleycam.cli.explaining import Explaining, Reading
    from shapleycam.experiments.engines import Local
    from shapleycam.experiments.lazy import Lazy
    from shapleycam.files import make_folder

    if top is not None and against is not None:
        raise OptionError(f"--top {top} and --against {against} were both given; expected one of them, or --target")
    if top is not None and target is not None:
        raise OptionError(f"--top {top} and --target {target} were both given; expected the most likely classes or one")
    methods = method or ["shapleycam"]
    expand(methods)
    effort: dict[str, Any] = {
        "nodes": options.nodes_of(nodes),
        "tolerance": tolerance,
        "players": options.regions_of(players),
    }
    make_folder(out)
    paths, errors = found(images) if images else ([options.demo_photo()], [])
    for path, error in errors:
        _report_error(path, error, as_json=as_json)
    if not paths:
        raise typer.Exit(2)
    classes = top or (1 if images or target or against else 3)
    on = options.engine_of(engine, address, actors, actor_cpus, actor_gpus)
    make = partial(
        options.make_explainer,
        model,
        checkpoint,
        pretrained=pretrained,
        layer=layer,
        utility=utility,
        against=against,
        memory=memory,
        fuse=fuse,
        layout=layout,
        output=output,
    )
    here = Lazy(partial(make, device=device if on is None else "cpu"))
    there = here if on is None else Lazy(partial(make, device=device))
    reading = Reading(options.transform_of(here(), view))
    failed = len(errors)
    with notes(quiet=quiet), progress(len(paths), "explaining", quiet=quiet) as bar:
        how = {**effort, "seed": seed, "progress": bar.sampled if on is None else None}
        explaining = Explaining(there, methods, target, classes, how, out, view, save)
        with closing((on or Local()).run(_batches(paths, batch_size), reading, explaining)) as results:
            for one in results:
                if one.error is not None:
                    failed += 1
                    _report_error(one.path, one.error, as_json=as_json)
                else:
                    _show(one, as_json=as_json)
                bar.advance()
    if failed:
        raise typer.Exit(2)


def _batches(paths: Sequence[Path], size: int) -> list[list[Photograph]]:
    """The photographs of each forward pass."""
    from shapleycam.cli.explaining import Photograph

    stems = _stems(paths)
    named = [Photograph(path, stems[path]) for path in paths]
    return [named[start : start + size] for start in range(0, len(named), size)]


def _stems(paths: Sequence[Path]) -> dict[Path, str]:
    """A file name for each photograph: its own, numbered where several share it (in any case, as some disks do)."""
    taken: set[str] = set()
    stems: dict[Path, str] = {}
    for path in paths:
        numbered = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        stems[path] = next(stem for stem in numbered if stem.casefold() not in taken)
        taken.add(stems[path].casefold())
    return stems


def _show(one: Explained, *, as_json: bool) -> None:
    """Write a photograph's files, and print what was found."""
    from shapleycam.explanations.summary import lines_of

    for file, content in one.files.items():
        _write(file, content)
    if as_json:
        print_json({"image": str(one.path), **one.facts})
    else:
        print_facts(str(one.path), lines_of(one.facts))


def _write(path: Path, content: bytes) -> None:
    from shapleycam.files import write_atomically

    write_atomically(path, lambda file: file.write(content))


def _report_error(path: Path, error: str, *, as_json: bool) -> None:
    print_error(error, own_texts=(str(path),))
    if as_json:
        print_json({"image": url_of(path) or str(path), "error": name_options(error, own_texts=(str(path),))})
