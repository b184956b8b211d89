"""`shapleycam interactions`: pairs of places that earn more, or less, together than each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_facts, print_json, print_table
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import ComputeGroup, OneLayerNetworkGroup, PrintGroup
from shapleycam.cli.messages import coalition_facts
from shapleycam.cli.outlines import regions_of_photograph
from shapleycam.cli.photographs import demo_photo
from shapleycam.cli.writing import write_picture
from shapleycam.output_names import output_stem, question_part, stem_limit, variant_part
from shapleycam.printable import printable_name, printable_text
from shapleycam.terminal_tables import Head
from shapleycam.wording import counted, number, percent, removal_phrase, signed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from shapleycam.explanations.explanation import Explanation
    from shapleycam.game import Game
    from shapleycam.values import Interactions


@dataclass(frozen=True)
class OneLayerUtilityGroup(OneLayerNetworkGroup):
    """The options of a network at one layer, and of the utility to explain."""

    utility: options.UtilityName = "rest"


@dataclass(frozen=True)
class PairsGroup:
    """The options of the pairs: how many are shown, and how they are measured."""

    target: options.Target = None
    players: options.OutlinedRegions = None
    strongest: Annotated[int, typer.Option("--strongest", min=1, help="How many pairs to show.")] = 10
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            min=0,
            help="Sample the Shapley interaction index in this number of rounds (2 or more; correct for any head); "
            "0: compute it from the second-order game.",
        ),
    ] = 0
    seed: options.Seed = 0
    runs: options.Runs = None


def interactions(
    image: options.ImagePath = None,
    *,
    network: OneLayerUtilityGroup,
    pairs: PairsGroup,
    out: options.Out = Path(),
    compute: ComputeGroup,
    printing: PrintGroup,
) -> None:
    """Show which pairs of places work together (red), or stand in for each other (blue).

    - `shapleycam interactions cat.jpg` draws the ten strongest pairs over the Shapley values of the places.
    - `shapleycam interactions cat.jpg --rounds 16 --layer blocks.5` samples them, with standard errors.
    - `shapleycam interactions cat.jpg --layer input --players superpixels:30` draws pairs of regions of the photograph.
    """
    from shapleycam.explaining.inputs import batch_of
    from shapleycam.files import make_folder
    from shapleycam.images import open_photograph

    make_folder(out)
    photo = image or demo_photo()
    open_photograph(photo)  # refuse an unreadable photograph before the model is loaded
    explainer = make_explainer(network, compute)
    batch = batch_of(photo, transform_of(explainer), explainer.model)
    with notes(quiet=printing.quiet):
        regions = regions_of_photograph(pairs.players, photo, explainer.preprocess)
        game = explainer.game(batch, pairs.target, players=regions)
        measured = _measure(game, pairs)
        explanation = explainer.explain(
            batch, "sampledshapley", pairs.target, players=regions, seed=pairs.seed, runs=pairs.runs
        )
    rows = [_row(game, measured, pair) for pair in measured.strongest(count=pairs.strongest)]
    figure = _draw(explanation, game, rows, photo.name, explainer.name)
    stem = f"{output_stem(photo, stem_limit(out))}_{question_part([explanation], 0, None)}"
    name = f"{stem}_interactions{variant_part(explanation)}.png"
    file = write_picture(out / name, figure, quiet=printing.quiet)
    value = f"{explanation.utility_name} {number(float(explanation.utility[0]))}"
    facts = {
        "explained": f"{explanation.label()}, {value}, layer {explanation.layer} of {explainer.name}"
        f"{removal_phrase(explanation.removal)}",
        "from": f"{pairs.rounds} rounds of sampling" if pairs.rounds else "the second-order game",
        "written": printable_text(str(file)),
    }
    # A table of windows may make coalitions cheap in only one of the two games.
    cost = game.coalition_cost if pairs.rounds else explanation.coalition_cost
    sampling_notes = explanation.notes[0] if explanation.notes else ()
    if printing.as_json:
        sampling = {"coalition_cost": cost, "notes": list(sampling_notes)}
        choices = {"image": printable_name(str(photo)), **facts, "removal": explanation.removal}
        print_json({**choices, **sampling, "pairs": rows})
        return
    coalitions = coalition_facts(cost, sampling_notes)
    print_facts(printable_name(str(photo)), {**facts, **coalitions, "written": [facts["written"]]})
    _print_table(rows, game)


def _draw(
    explanation: Explanation, game: Game, rows: Sequence[Mapping[str, Any]], photo: str, model: str
) -> Image.Image:
    """Return a figure of pairs as lines over the Shapley values; pairs with prefix tokens have no line."""
    from shapleycam.drawing.figures import grid
    from shapleycam.drawing.plots import pairs as draw_pairs
    from shapleycam.explanations.drawn_map import DrawnMap
    from shapleycam.explanations.figures import map_bar
    from shapleycam.explanations.titles import figure_title

    lines = [(*row["centres"], row["interaction"]) for row in rows if None not in row["centres"]]
    height, width = game.layout.grid
    picture = draw_pairs(explanation.overlay(kind="values", on="input"), (height, width), lines)
    title = figure_title(photo, [explanation], counted(len(lines), "strongest interaction"), model)
    largest = max((abs(line[-1]) for line in lines), default=0.0)
    unit = f"in units of {explanation.utility_name}"
    players = "regions" if explanation.regions is not None else "places"
    bar = map_bar([explanation], DrawnMap(kind="values"))
    note = (
        f"Lines: red where two {players} earn more together, blue where less; the widest is {number(largest, 3)} "
        f"{unit}."
    )
    return grid([("", picture)], columns=1, title=title, bars=[bar], note=note)


def _print_table(rows: Sequence[Mapping[str, Any]], game: Game) -> None:
    """Print a table of pairs and their interactions."""
    heads = [Head("place"), Head("place"), Head("interaction", "number"), Head("standard error", "number")]
    texts = []
    for row in rows:
        error = "" if row["stderr"] is None else number(row["stderr"], 3)
        places = row.get("names") or [_place(centre, game) for centre in row["centres"]]
        texts.append([*places, signed(row["interaction"]), error])
    print_table(heads, texts)


def _measure(game: Game, pairs: PairsGroup) -> Interactions:
    """Return the interactions of all pairs: sampled, or without rounds those of the second-order game."""
    from shapleycam import values

    if not pairs.rounds:
        return values.interactions(game)
    return values.sampled_interactions(game, pairs.rounds, pairs.seed, runs=pairs.runs)


def _row(game: Game, interactions: Interactions, pair: tuple[int, int, float]) -> dict[str, Any]:
    """Return the row to print for a pair of players and their interaction."""
    first, second, interaction = pair
    stderr = None if interactions.stderr is None else float(interactions.stderr[0, first, second])
    centres = [game.players.centre(first), game.players.centre(second)]
    names = {"names": [game.players.names[player] for player in (first, second)]} if game.players.names else {}
    return {"players": [first, second], **names, "centres": centres, "interaction": interaction, "stderr": stderr}


def _place(centre: tuple[float, float] | None, game: Game) -> str:
    """Return a text with a player's position, for a region that of its middle; prefix tokens have no position."""
    if centre is None:
        return "prefix tokens"
    if game.players.are_regions:
        rows, columns = game.layout.grid
        return f"{percent(centre[1] / columns)} across, {percent(centre[0] / rows)} down"
    return f"row {centre[0] + 0.5:.3g}, column {centre[1] + 0.5:.3g}"
