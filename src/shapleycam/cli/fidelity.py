"""`shapleycam fidelity`: how far each method is from the true Shapley values of this model, and what it costs."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_error, print_facts, print_json, print_table, progress
from shapleycam.cli.messages import argument_is
from shapleycam.cli.photographs import batches
from shapleycam.cli.photographs import found as found_at
from shapleycam.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shapleycam.cli.console import Bar
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.inputs import Batch
    from shapleycam.fidelity import Fidelity, Mean, Summary


def fidelity(
    images: options.ImagePaths = None,
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: options.Layer = None,
    utility: Annotated[
        list[str] | None,
        typer.Option("--utility", help="What is explained: rest, logit, log_probability, probability. Repeatable."),
    ] = None,
    method: options.Methods = None,
    nodes: options.Nodes = "8",
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Standard error, as a share of the values, of the true values.")
    ] = 0.005,
    players: options.Players = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="A PNG of each method's values against the true ones.")
    ] = None,
    to_csv: Annotated[Path | None, typer.Option("--csv", help="A CSV file of every image and method.")] = None,
    device: options.Device = None,
    batch_size: options.BatchSize = 16,
    seed: options.Seed = 0,
    memory: options.Memory = options.DEFAULT_MEMORY,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure how far each method is from the true Shapley values of your model.

    - `shapleycam fidelity photos/` measures every method for the default model, before pooling.
    - `shapleycam fidelity photos/ --layer blocks.5 --players 4x4` measures at another layer, for regions of it.
    - `shapleycam fidelity photos/ --utility logit --utility rest --csv distances.csv --plot distances.png`

    The true values are those of the game in which the places of the layer are players (arXiv:2501.06261): the Shapley
    sum itself up to 12 players, sampled to --tolerance for more.
    """
    from shapleycam.cams.table import expand
    from shapleycam.fidelity import advice, summary
    from shapleycam.fidelity import fidelity as measured
    from shapleycam.files import make_folder
    from shapleycam.utilities import resolve_utility

    utilities = [resolve_utility(name).name for name in dict.fromkeys(utility or ["rest"])]
    methods = method or ["all"]
    expand(methods)
    how: dict[str, Any] = {
        "nodes": options.nodes_of(nodes),
        "players": options.regions_of(players),
        "tolerance": tolerance,
    }
    for option, file in {"--plot": plot, "--csv": to_csv}.items():
        if file is not None:
            with argument_is(out=option):
                make_folder(file.parent)
    paths, errors = found_at(images) if images else ([options.demo_photo()], [])
    for path, error in errors:
        print_error(error, own_texts=(str(path),))
    if not paths:
        raise typer.Exit(2)
    explainer = options.make_explainer(
        model, checkpoint, pretrained=pretrained, layer=layer, utility=utilities[0], device=device, memory=memory
    )
    transform = options.transform_of(explainer)
    with notes(quiet=quiet), progress(len(paths), "measuring", quiet=quiet) as bar:
        good = _readable(batches(paths, transform, explainer.model, batch_size), errors, bar)
        found = measured(explainer, good, utilities, methods, **how, seed=seed, progress=bar.sampled)
    files = [str(file) for file in _written(found, plot, to_csv)]
    rows = summary(found.distances)
    sentences = [advice(rows, name) for name in utilities]
    if as_json:
        print_json(_document(found, rows, sentences, explainer, files))
    else:
        _print(found, rows, sentences, explainer, files)
    if errors:
        raise typer.Exit(2)


def _readable(
    made: Iterable[tuple[Batch | None, list[tuple[Path, str]]]], errors: list[tuple[Path, str]], bar: Bar
) -> Iterator[Batch]:
    """The batches of what can be read; the rest is said, and added to `errors`."""
    nothing = True
    for batch, unread in made:
        for path, error in unread:
            print_error(error, own_texts=(str(path),))
        errors += unread
        if batch is not None:
            nothing = False
            yield batch
            bar.advance(len(batch.sources))
    if nothing:
        raise typer.Exit(2)


def _print(found: Fidelity, rows: list[Summary], sentences: list[str], explainer: Explainer, files: list[str]) -> None:
    facts = {
        "measured": f"{_images(found)} against {found.reference}, standard error {_reached(found)}",
        "shown": "mean over images ± half of its 95 % interval; time in plain forward passes, that pass included",
    }
    if found.left_out:
        facts["left out"] = f"{', '.join(found.left_out)}: no second derivative behind this layer"
    print_facts(f"{explainer.name}, layer {explainer.layer}", facts)
    table = Table(
        "utility", "method", "relative error", "Spearman", "efficiency gap", "curvature", "ms", "x pass", box=None
    )
    for row in rows:
        figures = [_percent(row.error), _plain(row.spearman, 3), _percent(row.gap), _plain(row.curvature, 2)]
        seconds = "" if row.seconds is None else f"{row.seconds.value * 1e3:.0f}"
        table.add_row(
            row.utility, row.method, *figures, seconds, "" if row.passes is None else f"{row.passes.value:.2f}"
        )
    print_table(table)
    for file in files:
        typer.echo(f"written {file}")
    for sentence in sentences:
        typer.echo(sentence)


def _images(found: Fidelity) -> str:
    return counted(len({distance.image for distance in found.distances}), "image")


def _reached(found: Fidelity) -> str:
    return f"{max(found.reference_errors):.2%} at most"


def _percent(mean: Mean | None) -> str:
    if mean is None:
        return ""
    return f"{mean.value:.1%}" + ("" if mean.count == 1 else f" ± {mean.half:.1%}")


def _plain(mean: Mean | None, digits: int) -> str:
    if mean is None:
        return ""
    return f"{mean.value:.{digits}f}" + ("" if mean.count == 1 else f" ± {mean.half:.{digits}f}")


def _document(
    found: Fidelity, rows: list[Summary], sentences: list[str], explainer: Explainer, files: list[str]
) -> dict[str, Any]:
    return {
        "model": explainer.name,
        "layer": explainer.layer,
        "reference": found.reference,
        "reference_error": max(found.reference_errors),
        "methods": [_without_nan(asdict(row)) for row in rows],
        "images": [_without_nan(asdict(distance)) for distance in found.distances],
        "left_out": list(found.left_out),
        "advice": sentences,
        "files": files,
    }


def _without_nan(value: Any) -> Any:
    """The same with null for what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def _written(found: Fidelity, plot: Path | None, to_csv: Path | None) -> Iterator[Path]:
    from shapleycam.drawing.figures import scatter
    from shapleycam.fidelity import Distance
    from shapleycam.files import write_atomically

    if to_csv is not None:
        text = StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Distance)])
        writer.writeheader()
        writer.writerows(asdict(distance) for distance in found.distances)
        yield write_atomically(to_csv, lambda file: file.write(text.getvalue().encode()))
    if plot is not None:
        picture = scatter(_panels(found))
        yield write_atomically(plot, lambda file: picture.save(file, format="PNG"))


def _panels(found: Fidelity) -> list[tuple[str, list[float], list[float]]]:
    """Of each utility and method in its units: a title, the true values, and the method's."""
    from shapleycam.cams import METHODS

    several = len({utility for utility, _ in found.values}) > 1
    return [
        (f"{method}, {utility}" if several else method, found.values[utility, "true"].tolist(), values.tolist())
        for (utility, method), values in found.values.items()
        if method != "true" and METHODS[method].in_units
    ]
