"""`shapleycam interactions`: which places earn more, or less, together than each by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_facts, print_json, print_table

if TYPE_CHECKING:
    from shapleycam.game import Game
    from shapleycam.values import Interactions


def interactions(
    image: options.ImagePath = None,
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: options.Layer = None,
    utility: options.UtilityName = "rest",
    target: options.Target = None,
    players: options.Players = None,
    strongest: Annotated[int, typer.Option("--strongest", min=1, help="How many pairs to show.")] = 10,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            min=0,
            help="Sample the Shapley interaction index in so many rounds (2 or more; right for any head); "
            "0: take it from the second-order game.",
        ),
    ] = 0,
    out: options.Out = Path(),
    device: options.Device = None,
    seed: options.Seed = 0,
    memory: options.Memory = options.DEFAULT_MEMORY,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show which pairs of places work together (red), or stand in for each other (blue).

    - `shapleycam interactions cat.jpg` draws the ten strongest pairs over the Shapley values of the places.
    - `shapleycam interactions cat.jpg --rounds 16 --layer blocks.5` samples them, with standard errors.
    """
    from shapleycam.drawing.figures import pairs as drawn
    from shapleycam.explaining.inputs import batch_of
    from shapleycam.files import make_folder, write_atomically
    from shapleycam.images import open_photograph

    make_folder(out)
    photo = image or options.demo_photo()
    open_photograph(photo)
    explainer = options.make_explainer(
        model, checkpoint, pretrained=pretrained, layer=layer, utility=utility, device=device, memory=memory
    )
    batch = batch_of(photo, options.transform_of(explainer), explainer.model)
    regions = options.regions_of(players)
    with notes(quiet=quiet):
        e = explainer.explain(batch, "sampledshapley", target, players=regions, seed=seed)
        game = explainer.game(batch, target, players=regions)
        found = _found(game, rounds, seed)
    rows = [_row(game, found, pair) for pair in found.strongest(count=strongest)]
    lines = [(*row["centres"], row["interaction"]) for row in rows if None not in row["centres"]]
    height, width = game.layout.grid
    picture = drawn(e.overlay(kind="values", on="input"), (height, width), lines)
    file = write_atomically(out / f"{photo.stem}_interactions.png", lambda f: picture.save(f, format="PNG"))
    facts = {
        "explained": f"{e.label()}, {e.utility_name} {float(e.utility[0]):.4g}, layer {e.layer} of {explainer.name}",
        "from": f"{rounds} rounds of sampling" if rounds else "the second-order game",
        "written": str(file),
    }
    if as_json:
        print_json({"image": str(photo), **facts, "pairs": rows})
        return
    print_facts(str(photo), facts)
    table = Table("place", "place", "interaction", "standard error", box=None)
    for row in rows:
        error = "" if row["stderr"] is None else f"{row['stderr']:.3g}"
        table.add_row(*map(_name, row["centres"]), f"{row['interaction']:+.3g}", error)
    print_table(table)


def _found(game: Game, rounds: int, seed: int) -> Interactions:
    from shapleycam import values

    return values.sampled_interactions(game, rounds, seed) if rounds else values.interactions(game)


def _row(game: Game, found: Interactions, pair: tuple[int, int, float]) -> dict[str, Any]:
    one, other, size = pair
    stderr = None if found.stderr is None else float(found.stderr[0, one, other])
    centres = [game.players.centre(one), game.players.centre(other)]
    return {"players": [one, other], "centres": centres, "interaction": size, "stderr": stderr}


def _name(centre: tuple[float, float] | None) -> str:
    if centre is None:
        return "prefix tokens"
    return f"row {centre[0] + 0.5:.3g}, column {centre[1] + 0.5:.3g}"
