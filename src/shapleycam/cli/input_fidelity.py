"""`shapleycam fidelity --truth input`: reading its options, and printing its results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from shapleycam.cli.console import print_facts, print_json, print_line, print_table
from shapleycam.cli.input_values import SHOWN, input_facts, input_figures, input_heads, rows_as_data
from shapleycam.cli.measured_files import count_images, plot_values
from shapleycam.cli.parsing import parse_regions
from shapleycam.cli.removal import removal_arguments
from shapleycam.printable import printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import removal_phrase

if TYPE_CHECKING:
    from shapleycam.cli.groups import EstimatorGroup, NetworkGroup
    from shapleycam.cli.measured_files import FilesGroup
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.fidelity import InputFidelity, InputQuestion, InputSummary


def with_layer_removal(network: NetworkGroup) -> NetworkGroup:
    """Return the network's options with removal zero at the layer, because the given removal applies to the input."""
    return network if network.layer == "input" else replace(network, removal="zero", reference=None)


def input_question(network: NetworkGroup, estimator: EstimatorGroup) -> InputQuestion:
    """Return the library's question about the input from the options.

    Raises:
        OptionError: the removal or the players are unknown.
        ImageError: a folder of reference photographs has none.
    """
    from shapleycam.fidelity import InputQuestion
    from shapleycam.fidelity.input_reference import INPUT_PLAYERS, INPUT_RUNS

    removal, reference = removal_arguments(network.removal, network.reference)
    return InputQuestion(
        players=parse_regions(estimator.players) or INPUT_PLAYERS,
        removal=removal,
        reference=reference,
        runs=estimator.runs or INPUT_RUNS,
        seed=estimator.seed,
    )


def show_input_fidelity(result: InputFidelity, explainer: Explainer, files: FilesGroup, *, as_json: bool) -> None:
    """Write the files, and print the results as a table or as JSON."""
    from shapleycam.fidelity import input_summary
    from shapleycam.fidelity._input_summary import nearest_first

    what = f"{explainer.name}, layer {explainer.layer}"
    choices = f"; the true ones are those of regions of the image{removal_phrase(result.removal)}"
    plot = None if files.plot is None else plot_values(result.values, result.distances, what, choices)
    written = [printable_text(str(file)) for file in files.write(result.distances, plot)]
    rows = nearest_first(input_summary(result.distances))
    utilities = dict.fromkeys(row.utility for row in rows)
    sentences = [_sentence(next(row for row in rows if row.utility == utility)) for utility in utilities]
    if as_json:
        print_json(
            {
                "model": explainer.name,
                "layer": explainer.layer,
                "truth": "input",
                "removal": result.removal,
                "methods": rows_as_data(rows),
                "images": rows_as_data(result.distances),
                "inputs": rows_as_data(result.inputs),
                "advice": sentences,
                "files": written,
            }
        )
        return
    facts = {
        "utility": ", ".join(utilities),
        "measured": f"{count_images(result.distances)} against the Shapley values of the input, removal "
        f"{result.removal}",
        **input_facts(result.inputs),
        "shown": SHOWN,
    }
    print_facts(what, facts)
    left_out = 1 if len(utilities) == 1 else 0  # omit a column that is the same in every row
    heads = [Head("utility"), Head("method"), *input_heads()]
    print_table(heads[left_out:], [[row.utility, row.method, *input_figures(row)][left_out:] for row in rows])
    for file in written:
        typer.echo(f"written {file}")
    for sentence in sentences:
        print_line(sentence)


def _sentence(best: InputSummary) -> str:
    """Return a sentence that says which method's ranks are closest to the input's; `best` is a utility's first row."""
    if best.spearman is None:
        return f"No method has ranks for {best.utility}: all values are the same."
    corrected = best.spearman_corrected
    without_noise = "not resolved" if corrected is None else f"{corrected.value:.2f}"
    return (
        f"Nearest to what the regions of the image are worth for {best.utility} are the ranks of {best.method}: "
        f"Spearman {best.spearman.value:.2f}, without the noise {without_noise}."
    )
