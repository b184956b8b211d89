"""`shapleycam explain`: one overlay an image, and a few lines each: class, score, where it went."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_error, print_facts, print_json, progress
from shapleycam.errors import DerivativeError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from shapleycam.explainer import Explainer
    from shapleycam.explanation import Explanation
    from shapleycam.inputs import Batch


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
    view: options.View = "photo",
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
    from shapleycam.images import find

    methods = expand(method or ["shapleycam"])
    folder(out)
    paths = find(images) if images else [options.demo_photo()]
    classes = top or (1 if images or target else 3)
    explainer = options.make_explainer(
        model, checkpoint, pretrained=pretrained, layer=layer, utility=utility, device=device
    )
    stems = _stems(paths)
    job = _Job(explainer, methods, target, classes, nodes, seed, out, view, save, as_json)
    failed = 0
    with notes(quiet=quiet), progress(len(paths), "explaining", quiet=quiet) as done:
        for batch, errors in _batches(paths, explainer, batch_size):
            for path, error in errors:
                _report_error(path, error, as_json=as_json)
                done()
            failed += len(errors)
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
        view: Literal["photo", "input"],
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
            return self.explainer.compare(batch, [*self.methods, "shapleycam-h"], **choices)
        except DerivativeError:
            return self.explainer.compare(batch, self.methods, **choices)

    def _write(self, found: Sequence[Explanation], index: int, stem: str) -> Iterator[Path]:
        from shapleycam.files import write_whole

        picture = self._picture(found, index)
        name = f"{stem}_{found[0].method}"
        yield write_whole(self.out / f"{name}.png", lambda file: picture.save(file, format="PNG"))
        if self.save:
            yield found[0][index].save(self.out / f"{name}.npz")

    def _picture(self, found: Sequence[Explanation], index: int) -> Image.Image:
        from shapleycam.figures import grid

        if len(found) == 1:
            return found[0].overlay(index, on=self.view)
        panels = [(_title(e, index), e.overlay(index, on=self.view)) for e in found]
        return grid(panels, columns=4, caption=f"{found[0].method}, {self.explainer.name}, layer {found[0].layer}")


def _batches(
    paths: Sequence[Path], explainer: Explainer, size: int
) -> Iterator[tuple[Batch | None, list[tuple[Path, str]]]]:
    """Batches of the photographs that can be read, and why the others cannot."""
    from shapleycam.inputs import prepared, stacked

    if explainer.preprocess is None:
        raise ImageError(
            f"model {explainer.name!r} does not say how it wants photographs; let the function return "
            "shapleycam.Network(model, preprocess=..., labels=...)"
        )
    for start in range(0, len(paths), size):
        good, errors = [], []
        for path in paths[start : start + size]:
            try:
                good.append(prepared(path, str(path), explainer.preprocess))
            except ImageError as error:
                errors.append((path, str(error)))
        yield (stacked(good, explainer.model) if good else None), errors


def _stems(paths: Sequence[Path]) -> dict[Path, str]:
    """A file name for each photograph: its own, numbered where several share it."""
    seen: Counter[str] = Counter()
    stems: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        seen[path.stem] += 1
        stems[path] = path.stem if seen[path.stem] == 1 else f"{path.stem}-{seen[path.stem]}"
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
        what = f"{row['label']} (class {row['class']}), {facts['utility']} {row['utility']:.4g}"
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
