"""`shapleycam fidelity`: how far each method is from the true Shapley values of this model, and what it costs."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields, replace
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.command import REFUSED
from shapleycam.cli.console import notes, print_facts, print_json, print_line, print_table, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import BatchComputeGroup, OneLayerNetworkGroup, PrintGroup, RegionEstimatorGroup
from shapleycam.cli.messages import coalition_facts, options_in_errors
from shapleycam.cli.photographs import Unreadable, list_photographs, print_unreadable, read_batches
from shapleycam.printable import printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import counted, percent, removal_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shapleycam.cli.console import Bar
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.inputs import Batch
    from shapleycam.fidelity import Fidelity, Mean, Summary


@dataclass(frozen=True)
class MeasuredGroup:
    """What is measured: utilities and methods."""

    utility: Annotated[
        list[str] | None,
        typer.Option("--utility", help="What is explained: rest, logit, log_probability, probability. Repeatable."),
    ] = None
    method: options.Methods = None


@dataclass(frozen=True)
class TrueValuesEstimatorGroup(RegionEstimatorGroup):
    """The options of the estimators, of which the true values are held to a tolerance."""

    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Standard error, as a share of the values, of the true values.")
    ] = 0.005


@dataclass(frozen=True)
class FilesGroup:
    """The files that are written."""

    plot: Annotated[
        Path | None, typer.Option("--plot", help="A PNG of each method's values against the true ones.")
    ] = None
    to_csv: Annotated[Path | None, typer.Option("--csv", help="A CSV file of every image and method.")] = None


def fidelity(
    images: options.ImagePaths = None,
    *,
    network: OneLayerNetworkGroup,
    measured: MeasuredGroup,
    estimator: TrueValuesEstimatorGroup,
    files: FilesGroup,
    compute: BatchComputeGroup,
    printing: PrintGroup,
) -> None:
    """Measure how far each method is from the true Shapley values of your model.

    - `shapleycam fidelity photos/` measures every method for the default model, before pooling.
    - `shapleycam fidelity photos/ --layer blocks.5 --players 4x4` measures at another layer, for regions of it.
    - `shapleycam fidelity photos/ --utility logit --utility rest --csv distances.csv --plot distances.png`

    The true values are those of the game in which the places of the layer are players (arXiv:2501.06261): the Shapley
    sum itself up to 12 players, sampled to --tolerance for more.
    """
    from shapleycam.cams.table import expand_methods
    from shapleycam.fidelity import advice, summary
    from shapleycam.fidelity import fidelity as measure
    from shapleycam.utilities import resolve_utility

    utilities = [resolve_utility(name).name for name in dict.fromkeys(measured.utility or ["rest"])]
    methods = measured.method or ["all"]
    expand_methods(methods)
    estimator.check()  # a wrong option is refused before the model is loaded
    _make_folders(files)
    paths, unreadable = list_photographs(images, quiet=printing.quiet)
    print_unreadable(unreadable)
    if not paths:
        raise typer.Exit(REFUSED)
    explainer = make_explainer(replace(network, utility=utilities[0]), compute)
    transform = transform_of(explainer)
    with notes(quiet=printing.quiet), progress(len(paths), "measuring", quiet=printing.quiet) as bar:
        batches = read_batches(paths, transform, explainer.model, compute.batch_size)
        estimator_options = estimator.options(bar.show_sampling)
        readable = _readable(batches, unreadable, bar)
        result = measure(
            explainer,
            readable,
            utilities,
            methods,
            nodes=estimator_options.nodes,
            tolerance=estimator_options.tolerance,
            seed=estimator.seed,
            players=estimator_options.players,
            runs=estimator_options.runs,
            progress=estimator_options.progress,
        )
    written = [printable_text(str(file)) for file in _write_files(result, files, explainer)]
    rows = summary(result.distances)
    sentences = [advice(rows, name) for name in utilities]
    if printing.as_json:
        print_json(_document(result, rows, sentences, explainer, written))
    else:
        _print(result, rows, sentences, explainer, written)
    if unreadable:
        raise typer.Exit(REFUSED)


def _make_folders(files: FilesGroup) -> None:
    """Make the folders of the files, if need be, before anything is measured."""
    from shapleycam.files import make_folder

    for option, file in {"--plot": files.plot, "--csv": files.to_csv}.items():
        if file is not None:
            with options_in_errors(out=option):
                make_folder(file.parent)


def _readable(
    batches: Iterable[tuple[Batch | None, list[Unreadable]]], unreadable: list[Unreadable], bar: Bar
) -> Iterator[Batch]:
    """Yield the batches of what can be read; print the rest and add it to `unreadable`.

    Raises:
        typer.Exit: nothing can be read.
    """
    is_empty = True
    for batch, failures in batches:
        print_unreadable(failures)
        unreadable += failures
        if batch is not None:
            is_empty = False
            yield batch
            bar.advance(len(batch.sources))
    if is_empty:
        raise typer.Exit(REFUSED)


def _print(result: Fidelity, rows: list[Summary], sentences: list[str], explainer: Explainer, files: list[str]) -> None:
    """Print the results: a table with a row for each utility and method, the files, and advice."""
    facts = {
        "utility": ", ".join(dict.fromkeys(row.utility for row in rows)),
        "measured": f"{_images(result)} against {result.reference}, standard error {_reached(result)}",
        **coalition_facts(result.coalition_cost, result.notes),
        "shown": "mean over images ± half of its 95% interval; time in plain forward passes, that pass included",
    }
    if result.precision_errors:
        facts["precision"] = _precision(explainer.precision, result.precision_errors)
    if result.left_out:
        facts["left out"] = f"{', '.join(result.left_out)}: no second derivative behind this layer"
    print_facts(f"{explainer.name}, layer {explainer.layer}{removal_phrase(explainer.removal.name)}", facts)
    figures = ("relative error", "Spearman", "efficiency gap", "curvature", "ms", "x pass")
    heads = [Head("utility"), Head("method"), *(Head(head, "number") for head in figures)]
    left_out = 1 if len({row.utility for row in rows}) == 1 else 0  # a column that says the same in every row
    print_table(heads[left_out:], [_row(row)[left_out:] for row in rows])
    for file in files:
        typer.echo(f"written {file}")
    for sentence in sentences:
        print_line(sentence)


def _row(row: Summary) -> list[str]:
    """Return the texts of a row of the table."""
    figures = [_percent(row.error), _plain(row.spearman, 3), _percent(row.gap), _plain(row.curvature, 2)]
    seconds = "" if row.seconds is None else f"{row.seconds.value * 1e3:.0f}"
    return [row.utility, row.method, *figures, seconds, "" if row.passes is None else f"{row.passes.value:.2f}"]


def _images(result: Fidelity) -> str:
    """Return how many images were measured."""
    return counted(len({distance.image for distance in result.distances}), "image")


def _reached(result: Fidelity) -> str:
    """Return the largest standard error of the true values."""
    return f"{percent(max(result.reference_errors), 2)} at most"


def _precision(precision: str, errors: Mapping[str, float]) -> str:
    """Return how far the methods' values are from those in full precision."""
    least, most = min(errors, key=errors.__getitem__), max(errors, key=errors.__getitem__)
    return (
        f"{precision} before the layer: values are {percent(errors[least], 2)} ({least}) to {percent(errors[most], 2)} "
        f"({most}) from those in full precision, in the mean over images"
    )


def _percent(mean: Mean | None) -> str:
    """Return a mean in percent with half of its interval; nothing where there is no mean."""
    if mean is None:
        return ""
    return percent(mean.value, 1) + ("" if mean.count == 1 else f" ± {percent(mean.half, 1)}")


def _plain(mean: Mean | None, digits: int) -> str:
    """Return a mean with half of its interval; nothing where there is no mean."""
    if mean is None:
        return ""
    return f"{mean.value:.{digits}f}" + ("" if mean.count == 1 else f" ± {mean.half:.{digits}f}")


def _document(
    result: Fidelity, rows: list[Summary], sentences: list[str], explainer: Explainer, files: list[str]
) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "model": explainer.name,
        "layer": explainer.layer,
        "removal": explainer.removal.name,
        "reference": result.reference,
        "coalition_cost": result.coalition_cost,
        "notes": list(result.notes),
        "reference_error": max(result.reference_errors),
        "methods": [_without_nan(asdict(row)) for row in rows],
        "images": [_without_nan(asdict(distance)) for distance in result.distances],
        "left_out": list(result.left_out),
        "precision": explainer.precision,
        "precision_errors": _without_nan(dict(result.precision_errors)),
        "advice": sentences,
        "files": files,
    }


def _without_nan(value: Any) -> Any:
    """Return a value with None in place of infinite numbers and NaN, for which JSON has no word."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def _write_files(result: Fidelity, files: FilesGroup, explainer: Explainer) -> Iterator[Path]:
    """Write the files that are asked for; yield the path of each."""
    from shapleycam.drawing.plots import scatter
    from shapleycam.fidelity import Distance
    from shapleycam.files import write_atomically

    if files.to_csv is not None:
        text = StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Distance)])
        writer.writeheader()
        writer.writerows(asdict(distance) for distance in result.distances)
        yield write_atomically(files.to_csv, lambda stream: stream.write(text.getvalue().encode()))
    if files.plot is not None:
        utilities = ", ".join(dict.fromkeys(utility for utility, _ in result.values))
        title = (
            f"Values of the methods against the true ones: {_images(result)}, predicted classes; {explainer.name}, "
            f"layer {explainer.layer}, utility {utilities}{removal_phrase(explainer.removal.name)}"
        )
        picture = scatter(_panels(result), title=title)
        yield write_atomically(files.plot, lambda stream: picture.save(stream, format="PNG"))


def _panels(result: Fidelity) -> list[tuple[str, list[float], list[float]]]:
    """Return for each utility and each method in its units: a title, the true values, and the method's values."""
    from shapleycam.cams import METHODS

    several = len({utility for utility, _ in result.values}) > 1
    return [
        (f"{method}, {utility}" if several else method, result.values[utility, "true"].tolist(), values.tolist())
        for (utility, method), values in result.values.items()
        if method != "true" and METHODS[method].in_units
    ]
