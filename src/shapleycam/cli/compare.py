"""`shapleycam compare`: one photograph, several methods, one forward pass, one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_facts, print_json, print_table, progress


def compare(
    image: options.ImagePath = None,
    model: options.Model = options.DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    layer: options.Layers = None,
    fuse: options.Fuse = "mean",
    layout: options.Layout = None,
    output: options.Output = None,
    utility: options.UtilityName = "rest",
    against: options.Against = None,
    method: options.Methods = None,
    target: options.Target = None,
    nodes: options.Nodes = "8",
    tolerance: options.Tolerance = 0.01,
    players: options.Players = None,
    out: options.Out = Path(),
    view: options.View = "input",
    device: options.Device = None,
    seed: options.Seed = 0,
    memory: options.Memory = options.DEFAULT_MEMORY,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw several methods' maps of one photograph side by side.

    - `shapleycam compare cat.jpg` draws the paper's ten methods.
    - `shapleycam compare cat.jpg --method all --layer blocks.6` draws every method, at another layer.
    """
    from shapleycam.cams.table import expand, method_of
    from shapleycam.drawing.figures import grid
    from shapleycam.explaining.inputs import batch_of
    from shapleycam.explanations.evidence import where
    from shapleycam.files import make_folder, write_atomically
    from shapleycam.images import open_photograph

    methods = method or ["paper"]
    expand(methods)
    how: dict[str, Any] = {
        "nodes": options.nodes_of(nodes),
        "tolerance": tolerance,
        "players": options.regions_of(players),
    }
    make_folder(out)
    photo = image or options.demo_photo()
    open_photograph(photo)  # an unreadable photograph is said before the model is loaded
    explainer = options.make_explainer(
        model,
        checkpoint,
        pretrained=pretrained,
        layer=layer,
        utility=utility,
        against=against,
        device=device,
        memory=memory,
        fuse=fuse,
        layout=layout,
        output=output,
    )
    batch = batch_of(photo, options.transform_of(explainer, view), explainer.model)
    with notes(quiet=quiet), progress(1, "comparing", quiet=quiet) as bar:
        found = explainer.compare(batch, methods, target, **how, seed=seed, progress=bar.sampled)
    first = next(iter(found.values()))
    score = f"{first.utility_name} {float(first.utility[0]):.4g}"
    caption = f"{first.label()} ({score}), {explainer.name}, layer {first.layer}"
    picture = grid([(name, e.overlay(on=view)) for name, e in found.items()], columns=5, caption=caption)
    file = write_atomically(out / f"{photo.stem}_compare.png", lambda f: picture.save(f, format="PNG"))
    evidence = {name: where(e.values[0]) for name, e in found.items()}
    if as_json:
        chosen = {
            "class": int(first.target[0]),
            "label": first.label(),
            "layer": first.layer,
            "file": str(file),
        }
        print_json(
            {
                "image": str(photo),
                "model": explainer.name,
                "utility": first.utility_name,
                **chosen,
                "evidence": evidence,
            }
        )
        return
    table = Table("method", "derivative", "spread", "evidence", box=None)
    for name, phrase in evidence.items():
        row = method_of(name)
        table.add_row(name, row.derivative, row.spread, phrase)
    print_facts(str(photo), {"explained": caption, "written": str(file)})
    print_table(table)
