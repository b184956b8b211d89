"""`shapleycam explain`: one overlay an image, and a few lines each: class, score, where it went."""

from __future__ import annotations

import warnings
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_error, print_facts, print_json, progress
from shapleycam.errors import BlankHeatmapWarning, DerivativeError, ImageError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image
    from torch import nn

    from shapleycam.explainer import Explainer
    from shapleycam.explanation import Explanation
    from shapleycam.inputs import Batch
    from shapleycam.models.network import Transform

_CURVED = "shapleycam-h"
"""The method that brings the curvature with it."""


def explain(
    images: options.ImagePaths = None,
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: options.Layer = None,
    utility: options.UtilityName = "rest",
    method: options.Methods = None,
    target: options.Target = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, help="Explain the K most likely classes, side by side; default 1 (3 in the tour)."
        ),
    ] = None,
    nodes: options.Nodes = 8,
    out: options.Out = Path(),
    view: options.View = None,
    save: Annotated[bool, typer.Option("--save", help="Also write the numbers, as NPZ.")] = False,
    device: options.Device = None,
    batch_size: options.BatchSize = 16,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show why the model calls a photograph what it does.

    - `shapleycam explain` explains a photograph that comes along, with the default model, offline.
    - `shapleycam explain cat.jpg dogs/ --out maps` writes one overlay a photograph to the folder `maps`.
    - `shapleycam explain cat.jpg --target lynx --method gradcam --method pathcam` asks why it could be a lynx.
    - `shapleycam explain cat.jpg --model timm:resnet18 --checkpoint mine.safetensors` uses your own weights.
    """
    from shapleycam.cams.table import expand
    from shapleycam.files import folder

    if top is not None and target is not None:
        raise OptionError(f"--top {top} and --target {target} were both given; expected the most likely classes or one")
    methods = expand(method or ["shapleycam"])
    folder(out)
    paths, errors = _found(images) if images else ([options.demo_photo()], [])
    for path, error in errors:
        _report_error(path, error, as_json=as_json)
    if not paths:
        raise typer.Exit(2)
    classes = top or (1 if images or target else 3)
    explainer = options.make_explainer(
        model, checkpoint, pretrained=pretrained, layer=layer, utility=utility, device=device
    )
    transform = options.transform_of(explainer, view)
    stems = _stems(paths)
    job = _Job(explainer, methods, target, classes, nodes, seed, out, view, save, as_json)
    failed = len(errors)
    with notes(quiet=quiet), progress(len(paths), "explaining", quiet=quiet) as done:
        for batch, unread in _batches(paths, transform, explainer.model, batch_size):
            for path, error in unread:
                _report_error(path, error, as_json=as_json)
                done()
            failed += len(unread)
            if batch is not None:
                job.run(batch, stems)
                for _ in batch.sources:
                    done()
    if failed:
        raise typer.Exit(2)


class _Job:
    """All that is the same for every batch."""

    def __init__(
        self,
        explainer: Explainer,
        methods: list[str],
        target: str | None,
        classes: int,
        nodes: int,
        seed: int,
        out: Path,
        view: Literal["photo", "input"] | None,
        save: bool,
        as_json: bool,
    ) -> None:
        self.explainer, self.methods, self.target, self.classes = explainer, methods, target, classes
        self.nodes, self.seed, self.out, self.view = nodes, seed, out, view
        self.save, self.as_json = save, as_json

    def run(self, batch: Batch, stems: dict[Path, str]) -> None:
        """Explain a batch, write its files, and print what was found."""
        found = [self._compare(batch, self.target)]
        if self.target is None:
            ranked = next(iter(found[0].values())).output.topk(
                min(self.classes, found[0][self.methods[0]].output.shape[1])
            )
            found += [self._compare(batch, classes) for classes in ranked.indices.T[1:]]
        for index, source in enumerate(batch.sources):
            path = Path(str(source.photo))
            files = [
                str(file) for name in self.methods for file in self._write([f[name] for f in found], index, stems[path])
            ]
            facts = _facts([f[self.methods[0]] for f in found], index, self.explainer, files)
            if self.as_json:
                values = {name: found[0][name].values[index].tolist() for name in self.methods}
                print_json({"image": str(path), **facts, "values": values})
            else:
                print_facts(str(path), _lines(facts))

    def _compare(self, batch: Batch, target: Any) -> dict[str, Explanation]:
        """All methods, and the curvature with them where the model has second derivatives."""
        choices = {"target": target, "nodes": self.nodes, "seed": self.seed}
        try:
            with warnings.catch_warnings():
                if _CURVED not in self.methods:  # nobody asked how its heatmap looks
                    warnings.filterwarnings("ignore", f".* the {_CURVED} heatmap", BlankHeatmapWarning)
                return self.explainer.compare(batch, [*self.methods, _CURVED], **choices)
        except DerivativeError:
            return self.explainer.compare(batch, self.methods, **choices)

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

        if len(found) == 1:
            return found[0].overlay(index, on=self.view)
        panels = [(_title(e, index), e.overlay(index, on=self.view)) for e in found]
        return grid(panels, columns=4, caption=f"{found[0].method}, {self.explainer.name}, layer {found[0].layer}")


def _found(images: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The photographs that are named, each once, and the folders without any."""
    from shapleycam.images import find

    paths: dict[Path, None] = {}
    errors = []
    for image in images:
        try:
            paths.update(dict.fromkeys(find([image])))
        except ImageError as error:
            errors.append((image, str(error)))
    return list(paths), errors


def _batches(
    paths: Sequence[Path], transform: Transform, model: nn.Module, size: int
) -> Iterator[tuple[Batch | None, list[tuple[Path, str]]]]:
    """Batches of the photographs that can be read, and why the others cannot."""
    from shapleycam.inputs import prepared, stacked

    for start in range(0, len(paths), size):
        good, errors = [], []
        for path in paths[start : start + size]:
            try:
                good.append(prepared(path, str(path), transform))
            except ImageError as error:
                errors.append((path, str(error)))
        yield (stacked(good, model) if good else None), errors


def _stems(paths: Sequence[Path]) -> dict[Path, str]:
    """A file name for each photograph: its own, numbered where several share it (in any case, as some disks do)."""
    taken: set[str] = set()
    stems: dict[Path, str] = {}
    for path in paths:
        numbered = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        stems[path] = next(stem for stem in numbered if stem.casefold() not in taken)
        taken.add(stems[path].casefold())
    return stems


def _facts(found: Sequence[Explanation], index: int, explainer: Explainer, files: list[str]) -> dict[str, Any]:
    from shapleycam.models.labels import name_of
    from shapleycam.words import where

    first = found[0]
    probabilities = first.output[index].float().softmax(0)
    ranked = probabilities.topk(min(5, len(probabilities)))
    pairs = zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True)
    return {
        "top": [{"class": c, "label": name_of(c, first.labels), "probability": p} for c, p in pairs],
        "explained": [
            {
                "class": int(e.target[index]),
                "label": e.label(index),
                "utility": float(e.utility[index]),
                "evidence": where(e.values[index]),
            }
            for e in found
        ],
        "model": explainer.name,
        "layer": first.layer,
        "utility": first.utility_name,
        "curvature": None if first.curvature is None else float(first.curvature[index]),
        "files": files,
    }


def _lines(facts: dict[str, Any]) -> dict[str, str]:
    """The facts for people."""
    curvature = facts["curvature"]
    lines = {"top 5": ", ".join(f"{row['label']} {row['probability']:.1%}" for row in facts["top"])}
    for number, row in enumerate(facts["explained"]):
        number_too = "" if row["label"] == f"class {row['class']}" else f" (class {row['class']})"
        what = f"{row['label']}{number_too}, {facts['utility']} {row['utility']:.4g}"
        lines["explained" if number == 0 else f"  and {number + 1}"] = f"{what}; {row['evidence']}"
    lines["layer"] = f"{facts['layer']} of {facts['model']}"
    lines["curvature"] = "not available: no second derivative here" if curvature is None else _curvature(curvature)
    lines["written"] = ", ".join(facts["files"])
    return lines


def _curvature(curvature: float) -> str:
    if curvature < 1e-6:
        return "0.00: the head is linear here, second order equals first"
    strength = "little" if curvature < 0.1 else "some" if curvature < 0.3 else "much"
    return f"{curvature:.2f}: {strength} of the score is interaction between places, which first order leaves out"


def _title(explanation: Explanation, index: int) -> str:
    probability = float(explanation.output[index].float().softmax(0)[explanation.target[index]])
    return f"{explanation.label(index)} {probability:.0%}"


def _report_error(path: Path, error: str, *, as_json: bool) -> None:
    print_error(error)
    if as_json:
        print_json({"image": str(path), "error": error})
