"""`shapleycam compare`: one photograph, several methods, one forward pass, one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_facts, print_json, print_table, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import ComputeGroup, LayersNetworkGroup, PrintGroup, QuestionGroup, RegionEstimatorGroup
from shapleycam.cli.messages import coalition_facts
from shapleycam.cli.photographs import demo_photo
from shapleycam.cli.titles import class_title, figure_title, frame_note
from shapleycam.output_names import output_stem, question_part, stem_limit
from shapleycam.printable import printable_name, printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import counted, number, removal_phrase


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
    compute: ComputeGroup,
    printing: PrintGroup,
) -> None:
    """Draw several methods' maps of one photograph side by side.

    - `shapleycam compare cat.jpg` draws the paper's ten methods.
    - `shapleycam compare cat.jpg --method all --layer blocks.6` draws every method, at another layer.
    """
    from shapleycam.cams.table import expand_methods, method_of
    from shapleycam.drawing.colour_bars import heatmap_bar
    from shapleycam.drawing.figures import grid
    from shapleycam.explaining.inputs import batch_of
    from shapleycam.explanations.evidence import describe_evidence
    from shapleycam.files import make_folder, write_atomically
    from shapleycam.images import open_photograph
    from shapleycam.smoothing import parse_smoothing

    methods = question.method or ["paper"]
    expand_methods(methods)
    smooth = parse_smoothing(question.smooth)
    estimator.check()  # a wrong option is refused before the model is loaded
    make_folder(picture.out)
    photo = image or demo_photo()
    open_photograph(photo)  # and so is a photograph that cannot be read
    explainer = make_explainer(network, compute)
    batch = batch_of(photo, transform_of(explainer, picture.view), explainer.model)
    with notes(quiet=printing.quiet), progress(1, "comparing", quiet=printing.quiet) as bar:
        estimator_options = estimator.options(bar.show_sampling)
        (comparison,) = explainer.compare_with(estimator_options, batch, methods, [question.target], smooth=smooth)
    first = next(iter(comparison.values()))
    panels = [(name, explanation.overlay(on=picture.view)) for name, explanation in comparison.items()]
    title = figure_title(photo, [first], counted(len(panels), "method"), explainer.name)
    note = frame_note(first, panels[0][1].size, picture.view)
    figure = grid(panels, columns=5, title=title, bars=[heatmap_bar()], note=note)
    stem = f"{output_stem(photo, stem_limit(picture.out))}_{question_part([first], 0, network.against)}"
    file = write_atomically(picture.out / f"{stem}_compare.png", lambda stream: figure.save(stream, format="PNG"))
    costs = dict.fromkeys(e.coalition_cost for e in comparison.values() if e.coalition_cost)
    sampling_notes = [note for e in comparison.values() if e.notes for note in e.notes[0]]
    evidence = {name: describe_evidence(explanation.values[0]) for name, explanation in comparison.items()}
    if printing.as_json:
        print_json(
            {
                "image": printable_name(str(photo)),
                "model": explainer.name,
                "utility": first.utility_name,
                "class": int(first.target[0]),
                "label": first.label(),
                "layer": first.layer,
                "removal": first.removal,
                "smooth": list(smooth),
                "file": printable_text(str(file)),
                "evidence": evidence,
                "coalition_cost": next(iter(costs), None),
                "notes": list(dict.fromkeys(sampling_notes)),
            }
        )
        return
    facts = {
        "explained": f"{class_title(first)}; {first.utility_name} {number(float(first.utility[0]))}",
        "layer": f"{first.layer} of {explainer.name}{removal_phrase(first.removal)}",
        **({"smoothed": f"by {', '.join(smooth)}: the values divide no score"} if smooth else {}),
        **coalition_facts(next(iter(costs), None), sampling_notes),
        "written": [printable_text(str(file))],
    }
    print_facts(printable_name(str(photo)), facts)
    heads = [Head("method"), Head("derivative"), Head("spread", "text"), Head("evidence", "text")]
    rows = [(name, method_of(name).basis.name, method_of(name).spread_name, evidence[name]) for name in evidence]
    print_table(heads, rows)
