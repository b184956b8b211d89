"""`shapleycam layers MODEL`: the layers that can be explained, with facts that help to choose one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapleycam.cli import options
from shapleycam.cli.console import print_facts, print_json, print_table, progress
from shapleycam.cli.explainers import make_explainer, transform_of
from shapleycam.cli.groups import ComputeGroup, NetworkGroup, PrintGroup
from shapleycam.cli.photographs import demo_photo
from shapleycam.errors import DerivativeError, ScaleInvariantHeadWarning, ShapleyCamWarning
from shapleycam.terminal_tables import Head
from shapleycam.wording import number, removal_phrase

if TYPE_CHECKING:
    from shapleycam.explaining.explainer import Explainer
    from shapleycam.explaining.inputs import Batch
    from shapleycam.layers import Candidate


@dataclass(frozen=True)
class NamedNetworkGroup(NetworkGroup):
    """The options of a network that is the command's argument."""

    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, as in explain --model.")] = (
        options.DEFAULT_MODEL
    )
    output: options.Output = None
    utility: options.UtilityName = "rest"
    removal: options.Removal = "zero"
    reference: options.Reference = None


@dataclass(frozen=True)
class ListGroup:
    """The options of the layers to list, and of the photograph that they are measured on."""

    image: Annotated[Path | None, typer.Option("--image", help="The photograph to measure on.")] = None
    every: Annotated[bool, typer.Option("--all", help="Also the layers inside blocks.")] = False


def layers(
    *, network: NamedNetworkGroup, listed: ListGroup, device: options.Device = None, printing: PrintGroup
) -> None:
    """List a model's layers: shape, layout, gradient norm and curvature for one photograph.

    - `shapleycam layers efficientnet_lite0` lists the blocks; give one of them to `explain --layer`.
    - `shapleycam layers timm:vit_tiny_patch16_224 --no-pretrained --all` lists every layer.

    A layer with curvature 0 has a linear head: second-order methods add nothing there.
    """
    from shapleycam.explaining.inputs import batch_of

    explainer = make_explainer(network, ComputeGroup(device))
    batch = batch_of(listed.image or demo_photo(), transform_of(explainer), explainer.model)
    candidates, default = _candidates(explainer, batch, every=listed.every)
    rows = []
    with progress(len(candidates), "measuring", quiet=printing.quiet or printing.as_json) as bar:
        for candidate in candidates:
            rows.append({**_row(candidate, explainer, batch), "default": candidate.name == default})
            bar.advance()
    if printing.as_json:
        removal = explainer.removal.name
        print_json({"model": explainer.name, "utility": explainer.utility.name, "removal": removal, "layers": rows})
        return
    title = f"{explainer.name}, utility {explainer.utility.name}{removal_phrase(explainer.removal.name)}"
    print_facts(title, {"measured on": batch.sources[0].name})
    _print_table(rows)


def _candidates(explainer: Explainer, batch: Batch, *, every: bool) -> tuple[list[Candidate], str]:
    """Return the layers to list, and the name of the default one."""
    from shapleycam.layers import audit, find_before_pool, layers_to_list

    audited = audit(explainer.model, batch.images, explainer.select)
    default = find_before_pool(audited, explainer.model, batch.images).name
    return layers_to_list(audited, explainer.model, default, every=every), default


def _print_table(rows: list[dict[str, Any]]) -> None:
    """Print the table of the layers."""
    texts = []
    for row in rows:
        remark = ", ".join([*(["default"] if row["default"] else []), *row["notes"]])
        curvature = "n/a" if row["curvature"] is None else f"{row['curvature']:.2f}"
        shape = "x".join(map(str, row["shape"]))
        texts.append([row["layer"], shape, row["layout"], number(row["gradient_norm"], 3), curvature, remark])
    numbers = [Head(head, "number") for head in ("gradient norm", "curvature")]
    print_table([Head("layer"), Head("activation"), Head("layout"), *numbers, Head("", "text")], texts)


def _row(candidate: Candidate, explainer: Explainer, batch: Batch) -> dict[str, Any]:
    """Return the row to print for a layer; its curvature is None if there is no second derivative."""
    at_layer = type(explainer)(
        explainer.model,
        layer=candidate.name,
        utility=explainer.utility,
        preprocess=explainer.preprocess,
        output=explainer.select,
        removal=explainer.removal,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ShapleyCamWarning)
        try:
            curvature = at_layer.explain(batch, "shapleycam-h").curvature
        except DerivativeError:
            curvature = None
    ignores_scale = any(issubclass(warning.category, ScaleInvariantHeadWarning) for warning in caught)
    return {
        "layer": candidate.name,
        "shape": list(candidate.shape),
        "layout": str(candidate.layout),
        "gradient_norm": candidate.gradient_norm,
        "curvature": None if curvature is None else float(curvature[0]),
        "notes": ["its head ignores scale"] if ignores_scale else [],
    }
