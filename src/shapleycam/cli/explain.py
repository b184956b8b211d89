"""`shapleycam explain`: one overlay an image, and a few lines each: class, score, where it went."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_error, print_facts, print_json, progress
from shapleycam.cli.facts import facts_of, lines_of
from shapleycam.cli.photographs import batches, found
from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from shapleycam.explainer import Explainer
    from shapleycam.explanation import Explanation
    from shapleycam.inputs import Batch, Target


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
    """
    from shapleycam.cams.table import expand
    from shapleycam.files import folder

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
    folder(out)
    paths, errors = found(images) if images else ([options.demo_photo()], [])
    for path, error in errors:
        _report_error(path, error, as_json=as_json)
    if not paths:
        raise typer.Exit(2)
    classes = top or (1 if images or target or against else 3)
    explainer = options.make_explainer(
        model,
        checkpoint,
        pretrained=pretrained,
        layer=layer,
        utility=utility,
        against=against,
        device=device,
        memory=memory,
        fuse=fuse,
        layout=layout,
        output=output,
    )
    transform = options.transform_of(explainer, view)
    stems = _stems(paths)
    failed = len(errors)
    with notes(quiet=quiet), progress(len(paths), "explaining", quiet=quiet) as bar:
        how = {**effort, "seed": seed, "progress": bar.sampled}
        job = _Job(explainer, methods, target, classes, how, out, view, save, as_json)
        for batch, unread in batches(paths, transform, explainer.model, batch_size):
            for path, error in unread:
                _report_error(path, error, as_json=as_json)
                bar.advance()
            failed += len(unread)
            if batch is not None:
                job.run(batch, stems)
                bar.advance(len(batch.sources))
    if failed:
        raise typer.Exit(2)


@dataclass(frozen=True)
class _Job:
    """All that is the same for every batch."""

    explainer: Explainer
    methods: list[str]
    target: str | None
    classes: int
    how: dict[str, Any]
    out: Path
    view: Literal["photo", "input"] | None
    save: bool
    as_json: bool

    def run(self, batch: Batch, stems: dict[Path, str]) -> None:
        """Explain a batch, write its files, and print what was found."""
        found = self._explained(batch)
        for index, source in enumerate(batch.sources):
            path = Path(str(source.photo))
            files = [
                str(file) for name in found[0] for file in self._write([f[name] for f in found], index, stems[path])
            ]
            facts = facts_of(found, index, self.explainer.name, files)
            if self.as_json:
                print_json({"image": str(path), **facts})
            else:
                print_facts(str(path), lines_of(facts))

    def _explained(self, batch: Batch) -> list[dict[str, Explanation]]:
        """By all methods, for each class that is to be explained."""
        targets: list[Target] | int = [self.target] if self.target is not None or self.classes == 1 else self.classes
        return self.explainer.compare_each(batch, self.methods, targets, curvature=True, **self.how)

    def _write(self, found: Sequence[Explanation], index: int, stem: str) -> Iterator[Path]:
        from shapleycam.files import write_whole

        picture = self._picture(found, index)
        name = f"{stem}_{found[0].method}"
        yield write_whole(self.out / f"{name}.png", lambda file: picture.save(file, format="PNG"))
        if self.save:
            for e in found:
                of_class = "" if e is found[0] else f"_{int(e.target[index])}"
                yield e[index].save(self.out / f"{name}{of_class}.npz")

    def _picture(self, found: Sequence[Explanation], index: int) -> Image.Image:
        from shapleycam.figures import grid

        if len(found) == 1 and found[0].stderr is None:
            return found[0].overlay(index, on=self.view)
        panels = [panel for e in found for panel in self._panels(e, index)]
        return grid(panels, columns=4, caption=f"{found[0].method}, {self.explainer.name}, layer {found[0].layer}")

    def _panels(self, e: Explanation, index: int) -> list[tuple[str, Image.Image]]:
        """The heatmap, and beside sampled values where they are not sure."""
        panels = [(_title(e, index), e.overlay(index, on=self.view))]
        if e.uncertain is not None:
            share = float(e.uncertain[index].float().mean())
            panels.append((f"grey: error above value, {share:.0%}", e.overlay(index, on=self.view, kind="uncertain")))
        return panels


def _stems(paths: Sequence[Path]) -> dict[Path, str]:
    """A file name for each photograph: its own, numbered where several share it (in any case, as some disks do)."""
    taken: set[str] = set()
    stems: dict[Path, str] = {}
    for path in paths:
        numbered = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        stems[path] = next(stem for stem in numbered if stem.casefold() not in taken)
        taken.add(stems[path].casefold())
    return stems


def _title(explanation: Explanation, index: int) -> str:
    probabilities = explanation.probabilities(index)
    label = explanation.label(index)
    return label if probabilities is None else f"{label} {float(probabilities[explanation.target[index]]):.0%}"


def _report_error(path: Path, error: str, *, as_json: bool) -> None:
    print_error(error)
    if as_json:
        print_json({"image": str(path), "error": error})
