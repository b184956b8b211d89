"""`shapleycam explain`: an overlay for each photograph, and a few lines on its class, score and evidence."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, print_error, print_facts, print_json, progress
from shapleycam.cli.explainers import make_detector, make_explainer, transform_of
from shapleycam.cli.groups import (
    BatchComputeGroup,
    BoxQuestionGroup,
    LayersNetworkGroup,
    OutlinedEstimatorGroup,
    TimedPrintGroup,
)
from shapleycam.cli.messages import coalition_facts, name_options
from shapleycam.cli.photographs import list_photographs
from shapleycam.cli.run_groups import EngineGroup
from shapleycam.cli.style_group import StyleGroup
from shapleycam.cli.timings import Timings
from shapleycam.cli.writing import write_file
from shapleycam.errors import OptionError
from shapleycam.output_names import stem_limit, unique_stems
from shapleycam.printable import printable_name
from shapleycam.urls import url_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shapleycam.cli.console import Bar
    from shapleycam.cli.explaining import Photograph, PhotographResult

_CLASSES_IN_THE_TOUR = 3
"""Number of the demo photo's most likely classes that are explained if no photograph and no class is given."""


@dataclass(frozen=True)
class RankedQuestionGroup(BoxQuestionGroup):
    """The options of the methods, and of the class or the most likely classes to explain."""

    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, help="Explain the K most likely classes, side by side; default 1 (3 in the tour)."
        ),
    ] = None


@dataclass(frozen=True)
class FilesGroup:
    """The options of the files to write."""

    out: options.Out = Path()
    view: options.View = None
    save: Annotated[bool, typer.Option("--save", help="Also write the numbers, as NPZ.")] = False


def explain(  # noqa: PLR0913  # the groups of its options
    images: options.ImagePaths = None,
    *,
    network: LayersNetworkGroup,
    question: RankedQuestionGroup,
    estimator: OutlinedEstimatorGroup,
    files: FilesGroup,
    style: StyleGroup,
    compute: BatchComputeGroup,
    engine: EngineGroup,
    printing: TimedPrintGroup,
) -> None:
    """Show why the model calls a photograph what it does.

    - `shapleycam explain` explains a photograph that comes along, with the default model, by `pathcam-h`, offline.
    - `shapleycam explain cat.jpg dogs/ --out maps` writes one overlay a photograph to the folder `maps`.
    - `shapleycam explain cat.jpg --target lynx --method gradcam --method pathcam` asks why it could be a lynx.
    - `shapleycam explain cat.jpg --target lynx --against tabby` asks why it is a lynx and not a tabby.
    - `shapleycam explain cat.jpg --method sampledshapley` gives the true Shapley values, and where they are not sure.
    - `shapleycam explain cat.jpg --model timm:resnet18 --checkpoint mine.safetensors` uses your own weights.
    - `shapleycam explain street.jpg --model torchvision:retinanet_resnet50_fpn --box 0` explains a detector's best box.
    - `shapleycam explain cat.jpg --sign both --contours 4 --side-by-side` draws signed values beside the photograph.
    - `shapleycam explain photos/ --engine ray --address auto --out maps` explains a folder by a cluster.
    """
    timings = Timings.of_process()
    _check_question(question, network.against)
    _check_timings(engine, timings=printing.timings)
    if printing.timings:
        _import_libraries(timings, network.model or options.DEFAULT_MODEL)
    with timings.of("importing shapleycam"):
        from shapleycam.cams.table import DEFAULT_METHOD, expand_methods
        from shapleycam.cli.boxes import ExplainBoxes, parse_box
        from shapleycam.cli.explaining import ExplainPhotographs, ReadPhotographs
        from shapleycam.experiments.engines import Local
        from shapleycam.experiments.lazy import Lazy
        from shapleycam.files import make_folder
        from shapleycam.smoothing import parse_smoothing

    box = parse_box(question.box)
    methods = question.method or [DEFAULT_METHOD]
    expand_methods(methods)
    smooth = parse_smoothing(question.smooth)
    drawn = style.drawn(files.view)
    estimator.check()  # refuse a wrong option before anything is written or loaded
    make_folder(files.out)
    paths, unreadable = list_photographs(images, quiet=printing.quiet)
    for failure in unreadable:
        _report_error(failure.path, failure.reason, as_json=printing.as_json)
    if not paths:
        raise typer.Exit(REFUSED)
    estimator.check_photographs(paths)
    is_tour = not (images or question.target or network.against or question.box)
    remote = engine.make_engine()
    # If a cluster explains, this process needs a model only for its preprocessing, so it loads it on the CPU.
    make: Any = make_explainer if box is None else make_detector
    own_explainer = Lazy(partial(make, network, compute if remote is None else replace(compute, device="cpu")))
    explainer = own_explainer if remote is None else Lazy(partial(make, network, compute))
    with timings.of("loading the model"), notes(quiet=printing.quiet):
        read = ReadPhotographs(transform_of(own_explainer(), files.view), timings)
    with notes(quiet=printing.quiet), progress(len(paths), "explaining", quiet=printing.quiet) as bar:
        explain_batch = ExplainPhotographs(
            explainer=explainer,
            methods=methods,
            target=question.target,
            classes=question.top or (_CLASSES_IN_THE_TOUR if is_tour else 1),
            against=network.against,
            estimator_options=estimator.options(bar.show_sampling if remote is None else None),
            smooth=smooth,
            out=files.out,
            drawn=drawn,
            side_by_side=style.side_by_side,
            save=files.save,
            timings=timings,
            outlines=estimator.outlines,
        )
        if box is not None:
            explain_batch = ExplainBoxes(**vars(explain_batch), box=box)
        # Photographs with a box or outlined objects are explained one by one, because these belong to one photograph.
        batches = _batches(
            paths, compute.batch_size if box is None and not estimator.outlines else 1, stem_limit(files.out)
        )
        with closing((remote or Local()).run(batches, read, explain_batch)) as results:
            errors = _report_results(results, bar, printing)
    if printing.timings:
        timings.print()
    if errors or unreadable:
        raise typer.Exit(REFUSED)


def _report_results(results: Iterable[PhotographResult], bar: Bar, printing: TimedPrintGroup) -> int:
    """Write the files of each result, print it, and advance the progress bar; return the number of errors."""
    errors = 0
    for result in results:
        if result.error is not None:
            errors += 1
            _report_error(result.path, result.error, as_json=printing.as_json)
        else:
            _write_and_print(result, as_json=printing.as_json, quiet=printing.quiet)
        bar.advance()
    return errors


def _check_question(question: RankedQuestionGroup, against: str | None) -> None:
    """Refuse two options that both choose the explained classes.

    Raises:
        OptionError: --top was given together with --against, --target or --box.
    """
    top, target = question.top, question.target
    if top is not None and question.box is not None:
        raise OptionError(f"--top {top} and --box {question.box} were both given; expected one of them")
    if top is not None and against is not None:
        raise OptionError(f"--top {top} and --against {against} were both given; expected one of them, or --target")
    if top is not None and target is not None:
        raise OptionError(f"--top {top} and --target {target} were both given; expected the most likely classes or one")


def _import_libraries(timings: Timings, model: str) -> None:
    """Import the command's libraries one by one, so that the time of each is measured."""
    of_timm = ["timm"] if model == options.DEFAULT_MODEL or model.startswith("timm:") else []
    for name in ("torch", "torchvision", *of_timm):
        with timings.of(f"importing {name}"):
            import_module(name)


def _check_timings(engine: EngineGroup, *, timings: bool) -> None:
    """Refuse timings if another machine does the work.

    Raises:
        OptionError: --timings was given together with a cluster.
    """
    if timings and engine.engine != "local":
        raise OptionError(
            f"--timings and --engine {engine.engine} were both given; times are of this process: leave one out"
        )


def _batches(paths: Sequence[Path], size: int, longest_stem: int) -> list[list[Photograph]]:
    """Return the photographs in batches of `size`, with stems of at most `longest_stem` bytes."""
    from shapleycam.cli.explaining import Photograph

    stems = unique_stems(paths, longest_stem)
    photographs = [Photograph(path, stems[path]) for path in paths]
    return [photographs[start : start + size] for start in range(0, len(photographs), size)]


def _write_and_print(result: PhotographResult, *, as_json: bool, quiet: bool) -> None:
    """Write a photograph's files, and print its summary."""
    for file, content in result.files.items():
        write_file(file, content, quiet=quiet)
    if result.summary is None:
        return
    name = printable_name(str(result.path))
    if as_json:
        data = {} if result.detection is None else {"box": result.detection.as_data()}
        print_json({"image": name, **data, **result.summary.as_data()})
    else:
        detected = {} if result.detection is None else {"detected": str(result.detection)}
        coalitions = coalition_facts(result.summary.coalition_cost, result.summary.notes)
        print_facts(name, {**detected, **result.summary.lines(), **coalitions, "written": result.summary.files})


def _report_error(path: Path, reason: str, *, as_json: bool) -> None:
    """Print the reason why a photograph has no explanation on stderr, and with `as_json` also on stdout."""
    name = url_of(path) or printable_name(str(path))
    own_texts = (name,)
    print_error(reason, own_texts=own_texts)
    if as_json:
        print_json({"image": name, "error": name_options(reason, own_texts=own_texts)})
