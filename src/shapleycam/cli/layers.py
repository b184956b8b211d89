"""`shapleycam layers MODEL`: the layers that can be explained, with what helps to choose one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from shapleycam.cli import options
from shapleycam.cli.console import print_facts, print_json, print_table, progress
from shapleycam.errors import DerivativeError, ScaleInvariantHeadWarning, ShapleyCamWarning

if TYPE_CHECKING:
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.inputs import Batch
    from shapleycam.layers import Candidate


def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for --model.")] = options.DEFAULT_MODEL,
    image: Annotated[Path | None, typer.Option("--image", help="The photograph to measure on.")] = None,
    checkpoint: options.Checkpoint = None,
    pretrained: options.Pretrained = True,
    output: options.Output = None,
    utility: options.UtilityName = "rest",
    every: Annotated[bool, typer.Option("--all", help="Also the layers inside blocks.")] = False,
    device: options.Device = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List a model's layers: shape, layout, gradient norm and curvature for one photograph.

    - `shapleycam layers efficientnet_lite0` lists the blocks; give one of them to `explain --layer`.
    - `shapleycam layers timm:vit_tiny_patch16_224 --no-pretrained --all` lists every layer.

    A layer with curvature 0 has a linear head: second-order methods add nothing there.
    """
    from shapleycam.explaining.inputs import batch_of
    from shapleycam.layers import audit, find_before_pool

    explainer = options.make_explainer(
        model, checkpoint, pretrained=pretrained, layer=None, utility=utility, device=device, output=output
    )
    batch = batch_of(image or options.demo_photo(), options.transform_of(explainer), explainer.model)
    audited = audit(explainer.model, batch.images, explainer.select)
    chosen = find_before_pool(audited, explainer.model, batch.images).name
    proven = [c for c in audited.candidates if c.proven or c.name == chosen]
    found = [c for c in proven if every or _is_block(c, explainer) or c.name == chosen]
    rows = []
    with progress(len(found), "measuring", quiet=quiet or as_json) as bar:
        for candidate in found:
            rows.append({**_row(candidate, explainer, batch), "default": candidate.name == chosen})
            bar.advance()
    if as_json:
        print_json({"model": explainer.name, "utility": explainer.utility.name, "layers": rows})
        return
    table = Table("layer", "activation", "layout", "gradient norm", "curvature", "", box=None)
    for row in rows:
        remark = ", ".join([*(["default"] if row["default"] else []), *row["notes"]])
        bent = "n/a" if row["curvature"] is None else f"{row['curvature']:.2f}"
        shape = " x ".join(map(str, row["shape"]))
        table.add_row(row["layer"], shape, row["layout"], f"{row['gradient_norm']:.3g}", bent, remark)
    print_facts(f"{explainer.name}, utility {explainer.utility.name}", {"measured on": batch.sources[0].name})
    print_table(table)


def _is_block(candidate: Candidate, explainer: Explainer) -> bool:
    """A module that holds others with weights, or stands on the model's top level."""
    children = explainer.model.get_submodule(candidate.name).children()
    return "." not in candidate.name or any(any(True for _ in child.parameters()) for child in children)


def _row(candidate: Candidate, explainer: Explainer, batch: Batch) -> dict[str, Any]:
    from shapleycam.explaining.explainer import Explainer as AtLayer

    at = AtLayer(
        explainer.model,
        layer=candidate.name,
        utility=explainer.utility,
        preprocess=explainer.preprocess,
        output=explainer.select,
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ShapleyCamWarning)
        try:
            bent = at.explain(batch, "shapleycam-h").curvature
        except DerivativeError:
            bent = None
    ignores = any(issubclass(warning.category, ScaleInvariantHeadWarning) for warning in told)
    return {
        "layer": candidate.name,
        "shape": list(candidate.shape),
        "layout": str(candidate.layout),
        "gradient_norm": candidate.gradient_norm,
        "curvature": None if bent is None else float(bent[0]),
        "notes": ["its head ignores scale"] if ignores else [],
    }
