"""`shapleycam compare`: one photograph, several methods, one forward pass, one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_facts, print_json, print_table, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import ComputeGroup, LayersNetworkGroup, PrintGroup, QuestionGroup, RegionEstimatorGroup
from shapleycam.cli.messages import coalition_facts
from shapleycam.cli.photographs import demo_photo
from shapleycam.cli.style_group import StyleGroup
from shapleycam.cli.writing import write_picture
from shapleycam.output_names import output_stem, question_part, stem_limit, variant_part
from shapleycam.printable import printable_name, printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import counted, number, removal_phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

    from shapleycam.explanations.comparison import Comparison
    from shapleycam.explanations.pictures import DrawnMap

_COLUMNS, _MOST_TOGETHER = 5, 10
"""Maps side by side, and maps in all up to which families share rows; of more, each family has rows of its own."""


@dataclass(frozen=True)
class PictureGroup:
    """Where the picture goes, and what it is drawn over."""

    out: options.Out = Path()
    view: options.View = "input"


def compare(
    image: options.ImagePath = None,
    *,
    network: LayersNetworkGroup,
    question: QuestionGroup,
    estimator: RegionEstimatorGroup,
    picture: PictureGroup,
    style: StyleGroup,
    compute: ComputeGroup,
    printing: PrintGroup,
) -> None:
    """Draw several methods' maps of one photograph side by side, by family, and say which maps are identical.

    - `shapleycam compare cat.jpg` draws the paper's ten methods.
    - `shapleycam compare cat.jpg --method all --layer blocks.6` draws every method of little cost, at another layer.
    - `shapleycam compare cat.jpg --method field` draws the whole field; `shapleycam methods` lists it.
    """
    from shapleycam.cams.table import expand_methods
    from shapleycam.explaining.inputs import batch_of
    from shapleycam.explanations.pictures import of_kind
    from shapleycam.files import make_folder
    from shapleycam.images import open_photograph
    from shapleycam.smoothing import parse_smoothing

    methods = question.method or ["paper"]
    expand_methods(methods)
    smooth, drawn = parse_smoothing(question.smooth), style.drawn(picture.view)
    estimator.check()  # a wrong option is refused before the model is loaded
    make_folder(picture.out)
    photo = image or demo_photo()
    open_photograph(photo)  # and so is a photograph that cannot be read
    explainer = make_explainer(network, compute)
    batch = batch_of(photo, transform_of(explainer, picture.view), explainer.model)
    with notes(quiet=printing.quiet), progress(1, "comparing", quiet=printing.quiet) as bar:
        estimator_options = estimator.options(bar.show_sampling)
        (comparison,) = explainer.compare_with(estimator_options, batch, methods, [question.target], smooth=smooth)
        families, drawn = _by_family(comparison), of_kind(list(comparison.values()), drawn)
        same = _same_as(comparison, families, drawn)
        figure = _draw(comparison, families, same, photo, explainer.name, drawn, side_by_side=style.side_by_side)
    first = next(iter(comparison.values()))
    stem = f"{output_stem(photo, stem_limit(picture.out))}_{question_part([first], 0, network.against)}"
    name = f"{stem}_compare{variant_part(first, drawn.chosen_sign)}.png"
    file = write_picture(picture.out / name, figure, quiet=printing.quiet)
    data = _as_data(comparison, families, same, photo, explainer.name, file)
    if printing.as_json:
        print_json(data)
    else:
        _print(comparison, data)


def _by_family(comparison: Comparison) -> dict[str, list[str]]:
    """Return the methods by family, in the order of the families."""
    from shapleycam.cams.families import methods_by_family

    names = {family: {row.name for row in rows} for family, rows in methods_by_family().items()}
    groups = {family: [name for name in comparison if name in known] for family, known in names.items()}
    return {family: members for family, members in groups.items() if members}


def _draw(
    comparison: Comparison,
    families: Mapping[str, list[str]],
    same: Mapping[str, str],
    photo: Path,
    model: str,
    drawn: DrawnMap,
    *,
    side_by_side: bool,
) -> Image.Image:
    """Draw all maps; one that is another's too has both names."""
    from shapleycam.drawing.figures import grouped_grid
    from shapleycam.explanations.figures import map_bar, photograph_panel
    from shapleycam.explanations.pictures import overlay
    from shapleycam.explanations.titles import figure_title, frame_note

    first = next(iter(comparison.values()))
    panels = {
        name: (f"{name} = {same[name]}" if name in same else name, overlay(comparison[name], drawn))
        for members in families.values()
        for name in members
    }
    if len(panels) > _MOST_TOGETHER:
        groups = {family: [panels[name] for name in members] for family, members in families.items()}
    else:
        groups = {"": list(panels.values())}
    if side_by_side:
        photograph = photograph_panel(first, drawn)
        groups = {"": [photograph, *groups.get("", [])], **{key: each for key, each in groups.items() if key}}
    title = figure_title(photo.name, [first], counted(len(panels), "method"), model)
    note = frame_note(first, next(iter(panels.values()))[1].size, drawn.on)
    return grouped_grid(groups, _COLUMNS, title, [map_bar(list(comparison.values()), drawn)], note)


def _same_as(comparison: Comparison, families: Mapping[str, list[str]], drawn: DrawnMap) -> dict[str, str]:
    """Return for each method whose map, as it is drawn, an earlier one has too, the first of them."""
    from shapleycam.explanations.comparison import group_by_map
    from shapleycam.explanations.pictures import drawn_numbers

    maps = {name: drawn_numbers(comparison[name], drawn) for members in families.values() for name in members}
    return {name: group[0] for group in group_by_map(maps) for name in group[1:]}


def _as_data(
    comparison: Comparison,
    families: Mapping[str, list[str]],
    same: Mapping[str, str],
    photo: Path,
    model: str,
    file: Path,
) -> dict[str, Any]:
    """Return what is known of the comparison, as JSON has it."""
    from shapleycam.explanations.evidence import describe_evidence

    first = next(iter(comparison.values()))
    costs = [e.coalition_cost for e in comparison.values() if e.coalition_cost]
    sampling_notes = [note for e in comparison.values() if e.notes for note in e.notes[0]]
    return {
        "image": printable_name(str(photo)),
        "model": model,
        "utility": first.utility_name,
        "class": int(first.target[0]),
        "label": first.label(),
        "layer": first.layer,
        "removal": first.removal,
        "smooth": list(first.smooth),
        "file": printable_text(str(file)),
        "families": families,
        "same_map": dict(same),
        "evidence": {name: describe_evidence(explanation.values[0]) for name, explanation in comparison.items()},
        "coalition_cost": next(iter(costs), None),
        "notes": list(dict.fromkeys(sampling_notes)),
    }


def _print(comparison: Comparison, data: Mapping[str, Any]) -> None:
    """Print what is known of the comparison, for people."""
    from shapleycam.cams.table import method_of
    from shapleycam.explanations.titles import class_title

    first, smooth, same = next(iter(comparison.values())), data["smooth"], data["same_map"]
    facts = {
        "explained": f"{class_title(first)}; {first.utility_name} {number(float(first.utility[0]))}",
        "layer": f"{first.layer} of {data['model']}{removal_phrase(first.removal)}",
        **({"smoothed": f"by {', '.join(smooth)}: the values divide no score"} if smooth else {}),
        **coalition_facts(data["coalition_cost"], data["notes"]),
        "written": [data["file"]],
    }
    print_facts(data["image"], facts)
    heads = [Head("method"), Head("family", "text"), Head("derivative"), Head("spread", "text")]
    rows = [
        (name, family, method_of(name).basis.name, method_of(name).spread_name, same.get(name, ""))
        for family, members in data["families"].items()
        for name in members
    ]
    evidence = [data["evidence"][row[0]] for row in rows]
    print_table(
        [*heads, Head("same map as"), Head("evidence", "text")],
        [(*row, text) for row, text in zip(rows, evidence, strict=True)],
    )
