"""Every method on the same photographs: writes docs/gallery.md and its pictures, docs/images/gallery/.

The photographs come with matplotlib and scikit-image, and are free of rights; those of a folder of yours are drawn with
--photos, into another folder.

    python bench/gallery.py                                   # about six minutes on two cores
    python bench/gallery.py --photos my-photos --out mine
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from matplotlib import cbook
from PIL import Image

import shapleycam
from measure import THREADS
from shapleycam.cams.method import MOST_PASSES
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.models import zoo

DOCS = Path(__file__).parents[1] / "docs"
LAYERS = {"bn2": "before pooling", "blocks.6": "before the last convolution"}
REGIONS = (4, 4)
"""Players of exactshapley: all coalitions of 49 places are out of reach."""
COARSE = 0.1
"""The tolerance of channelshapley: at blocks.6 each coalition of its 320 channels is a run of the head."""
SIDE, GAP, QUALITY = 152, 6, 60


@dataclass(frozen=True)
class Photo:
    """A photograph, what it shows, and whose it is."""

    file: Path
    name: str
    credit: str = ""


def shipped() -> list[Photo]:
    """Four that packages of the development environment bring along."""
    skimage = Path(str(files("skimage") / "data"))
    hopper = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return [
        Photo(hopper, "the officer", "Grace Hopper, United States Navy, public domain; in matplotlib"),
        Photo(skimage / "chelsea.png", "the cat", "Stéfan van der Walt, CC0; in scikit-image"),
        Photo(skimage / "coffee.png", "the cup", "Rachel Michetti, CC0, at Pikolo Espresso Bar; in scikit-image"),
        Photo(skimage / "rocket.jpg", "the rocket", "SpaceX, public domain; in scikit-image"),
    ]


def rows_of_every_network() -> list[shapleycam.Method]:
    """The rows of the table that every network has, but those of more passes than a set of methods allows."""
    return [
        method
        for method in shapleycam.methods()
        if not method.basis.is_conditional and method.basis.cost_of(1).model_passes <= MOST_PASSES
    ]


def explained(photos: Sequence[Photo], layer: str) -> dict[str, shapleycam.Explanation]:
    """All methods at a layer, in the order of the table."""
    explainer = shapleycam.Explainer(zoo.DEFAULT, layer=layer, device="cpu")
    paths = [photo.file for photo in photos]
    names = [method.name for method in rows_of_every_network()]
    explanations = explainer.compare(paths, [name for name in names if name not in {"exactshapley", "channelshapley"}])
    explanations["exactshapley"] = explainer.explain(paths, "exactshapley", players=REGIONS)
    explanations["channelshapley"] = explainer.explain(paths, "channelshapley", tolerance=COARSE)
    return {name: explanations[name] for name in names}


def strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of the network's input side by side."""
    canvas = Image.new("RGB", (len(pictures) * (SIDE + GAP) - GAP, SIDE), "white")
    for place, picture in enumerate(pictures):
        canvas.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (place * (SIDE + GAP), 0))
    return canvas


def table() -> str:
    """What each row of the gallery is, from the table of methods."""
    titles = ("method", "derivative", "spread", "what it is", "in units of the utility", "source")
    rows = [
        (m.name, m.basis.name, m.spread_name, m.description, "yes" if m.in_units else "no", m.source)
        for m in rows_of_every_network()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows))


def section(method: str, photos: Sequence[Photo], by_layer: dict[str, dict[str, shapleycam.Explanation]]) -> str:
    """A method's heading and strips."""
    lines = [f"### {method}", ""]
    for layer, place in LAYERS.items():
        explanations = by_layer[layer][method]
        evidence = [f"{p.name}: {describe_evidence(explanations.values[i])}" for i, p in enumerate(photos)]
        lines += [f"![{method}, {place}. {'. '.join(evidence)}](images/gallery/{picture_name(method, layer)})", ""]
    return "\n".join(lines)


def picture_name(method: str, layer: str) -> str:
    return f"{method.replace('+', 'p')}_{layer.replace('.', '')}.jpg"


def page(photos: Sequence[Photo], by_layer: dict[str, dict[str, shapleycam.Explanation]]) -> str:
    """The whole page."""
    first = by_layer["bn2"]["shapleycam"]
    seen = [
        f"| {p.name} | {first.label(i)}, {float(first.probabilities(i).max()):.0%} | {p.credit} |"
        for i, p in enumerate(photos)
    ]
    return "\n".join([
        "# Gallery",
        "",
        f"<!-- made by bench/gallery.py -->\n{INTRODUCTION}",
        "## The photographs",
        "",
        f"![{', '.join(p.name for p in photos)}, as the network sees them](images/gallery/photographs.jpg)",
        "",
        "| photograph | the network says | whose it is |",
        "|---|---|---|",
        *seen,
        "",
        "## The methods",
        "",
        table(),
        "",
        *(section(method.name, photos, by_layer) for method in rows_of_every_network()),
    ])  # fmt: skip


INTRODUCTION = f"""
Every method on the same four photographs, by the default network ({zoo.DEFAULT}), for the class that it
predicts and the utility ReST. Of each method the upper row is at `bn2`, before pooling, the lower one at `blocks.6`,
before the last convolution. Before pooling the logit is linear: there gradcam, hirescam and xgradcam are one map, and
second order and path add what the softmax bends. At `blocks.6` the methods part. sampledshapley is what the others
estimate; exactshapley is the same game with {REGIONS[0]} x {REGIONS[1]} regions as players, hence coarse.

A heatmap is scaled for itself, from blue (nothing, or against the class) to red: compare places within a picture, not
colours between pictures. How far the values are from the true ones, in numbers, is in
[measurements](../bench/results/shapley.md).
"""


def draw(photos: Sequence[Photo], out: Path) -> None:
    """Write page and pictures into a folder."""
    folder = out / "images/gallery"
    folder.mkdir(parents=True, exist_ok=True)
    by_layer = {layer: explained(photos, layer) for layer in LAYERS}
    first = by_layer["bn2"]["shapleycam"]
    every = range(len(photos))
    pictures = {"photographs.jpg": [Image.fromarray(first.picture(i).numpy()) for i in every]}
    for layer, by_method in by_layer.items():
        for method, e in by_method.items():
            pictures[picture_name(method, layer)] = [e.overlay(i, on="input") for i in every]
    for name, row in pictures.items():
        strip(row).save(folder / name, quality=QUALITY, optimize=True)
    (out / "gallery.md").write_text(page(photos, by_layer), encoding="utf-8")


def main() -> None:
    """Draw the shipped photographs, or those of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="A folder of photographs, in place of the four that are shipped.")
    parser.add_argument("--out", type=Path, help="The folder of gallery.md; docs/ without --photos.")
    options = parser.parse_args()
    if options.photos and not options.out:
        parser.error("--photos needs --out: docs/ shows the four that may be passed on")
    torch.set_num_threads(THREADS)
    files_of = sorted(options.photos.iterdir()) if options.photos else []
    draw([Photo(file, file.stem) for file in files_of] or shipped(), options.out or DOCS)


if __name__ == "__main__":
    main()
