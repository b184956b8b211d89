"""`shapleycam compare`: one picture with several methods' maps of one photograph, from one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_facts, print_json, print_table, progress
from shapleycam.cli.explainers import make_detector, make_explainer, transform_of
from shapleycam.cli.groups import BoxQuestionGroup, ComputeGroup, LayersNetworkGroup, OutlinedEstimatorGroup, PrintGroup
from shapleycam.cli.messages import coalition_facts
from shapleycam.cli.outlines import with_outlines
from shapleycam.cli.photographs import demo_photo
from shapleycam.cli.style_group import StyleGroup
from shapleycam.cli.writing import write_picture
from shapleycam.output_names import output_stem, question_part, stem_limit, variant_part
from shapleycam.printable import printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import number, removal_phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapleycam.cli.comparing import ComparedPhotograph
    from shapleycam.explanations.drawn_map import DrawnMap

_METHODS_OF_A_BOX = ["gradcam", "hirescam", "xgradcam", "layercam", "gradcam++", "pathcam-h"]
"""Default methods for a box; ShapleyCAM is not among them, because two-stage detectors have no second derivative."""


@dataclass(frozen=True)
class PictureGroup:
    """The options of the picture: its folder, and what it is drawn over."""

    out: options.Out = Path()
    view: options.View = "input"


def compare(
    image: options.ImagePath = None,
    *,
    network: LayersNetworkGroup,
    question: BoxQuestionGroup,
    estimator: OutlinedEstimatorGroup,
    picture: PictureGroup,
    style: StyleGroup,
    compute: ComputeGroup,
    printing: PrintGroup,
) -> None:
    """Draw several methods' maps of one photograph side by side, by family, and say which maps are identical.

    - `shapleycam compare cat.jpg` draws the paper's ten methods.
    - `shapleycam compare cat.jpg --method all --layer blocks.6` draws every method of little cost, at another layer.
    - `shapleycam compare cat.jpg --method field` draws the whole field; `shapleycam methods` lists it.
    - `shapleycam compare street.jpg --model torchvision:retinanet_resnet50_fpn --box 0` compares first-order and path
      methods for a detector's best box.
    """
    from shapleycam.cams.table import expand_methods
    from shapleycam.cli.boxes import parse_box
    from shapleycam.cli.comparing import ComparePhotograph
    from shapleycam.explanations.drawn_map import resolve_kind
    from shapleycam.files import make_folder
    from shapleycam.images import open_photograph
    from shapleycam.smoothing import parse_smoothing

    box = parse_box(question.box)
    methods = question.method or (["paper"] if box is None else _METHODS_OF_A_BOX)
    expand_methods(methods)
    smooth, drawn = parse_smoothing(question.smooth), style.drawn(picture.view)
    estimator.check()  # refuse a wrong option before the model is loaded
    make_folder(picture.out)
    photo = image or demo_photo()
    open_photograph(photo)  # refuse an unreadable photograph before the model is loaded
    comparing = ComparePhotograph(photo, methods, question.target, smooth)
    if box is None:
        explainer = make_explainer(network, compute)
        preprocess = transform_of(explainer, picture.view)
        compare_by = partial(comparing.by, explainer, preprocess)
    else:
        detector = make_detector(network, compute)
        preprocess = transform_of(detector, picture.view)
        compare_by = partial(comparing.by_box, detector, preprocess, box)
    with notes(quiet=printing.quiet), progress(1, "comparing", quiet=printing.quiet) as bar:
        estimator_options = estimator.options(bar.show_sampling)
        compared = compare_by(with_outlines(estimator_options, estimator.outlines, photo, preprocess))
        drawn = resolve_kind(list(compared.comparison.values()), drawn)
        figure = compared.draw(drawn, side_by_side=style.side_by_side)
    name = _file_name(compared, drawn, network.against, stem_limit(picture.out))
    file = write_picture(picture.out / name, figure, quiet=printing.quiet)
    data = compared.as_data(drawn, printable_text(str(file)))
    if printing.as_json:
        print_json(data)
    else:
        _print(compared, data)


def _file_name(compared: ComparedPhotograph, drawn: DrawnMap, against: str | None, longest_stem: int) -> str:
    first, detection = compared.first, compared.detection
    box = "" if detection is None else f"_box{detection.number}"
    stem = f"{output_stem(compared.photo, longest_stem)}{box}_{question_part([first], 0, against)}"
    return f"{stem}_compare{variant_part(first, drawn.chosen_sign)}.png"


def _print(compared: ComparedPhotograph, data: Mapping[str, Any]) -> None:
    """Print the comparison as text and a table."""
    from shapleycam.cams.table import method_of
    from shapleycam.explanations.titles import class_title

    first, smooth, same = compared.first, data["smooth"], data["same_map"]
    facts = {
        **({} if compared.detection is None else {"detected": str(compared.detection)}),
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
