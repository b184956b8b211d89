"""`disconnected`: a network that processes each cell of a mosaic separately, so that all evidence lies in the cell."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError, OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import resolve_network


def disconnected(network: str | nn.Module | Network, layer: str | None = None, cells: int = 2) -> Network:
    """Return a network that processes each cell of a mosaic separately; each cell has its own set of classes.

    This is DiFull (Rao 2022, arXiv:2205.10435): cells cannot interact, so that all evidence for a class of a cell lies
    in that cell. The activations of `layer` for the cells are joined to one map, which is explained. Evaluate the
    network on the mosaics that `MosaicDataset.disconnected` returns, with the class rule "label"; "relevance_mass"
    should be 1.

    Scores are log-probabilities over the classes of a cell. So the softmax over the classes of all cells, which most
    utilities use, does not connect cells either: it is the softmax of the cell, divided by the number of cells.

    Args:
        network: a name, a module or a network, which is copied.
        layer: the layer whose maps are joined, as in `Explainer`; None for the layer before pooling.
        cells: number of cells in a row and in a column.

    Returns:
        A network for images (b, 3, cells · h, cells · w) with cells² · classes scores, in the reading order of cells.

    Raises:
        OptionError: cells is below 2, or the network's preprocessing is not known.
        LayerError: the network does not have the layer, or the layer's output is not maps (b, channels, h, w).

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer, Network, Preprocess
        >>> from shapleycam.experiments import synthetic
        >>> _ = torch.manual_seed(0)
        >>> head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5))
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, 4), head)
        >>> small = Network(model, Preprocess(8, (8, 8), (0.5,) * 3, (0.5,) * 3))
        >>> network = synthetic.disconnected(small, layer="0", cells=2)
        >>> image = torch.rand(1, 3, 16, 16)
        >>> explanation = Explainer(network).explain(image, "hirescam", target=5)  # class 0 of the upper right cell
        >>> sizes = explanation.values[0].abs()
        >>> round(float(sizes[:2, 2:].sum() / sizes.sum()), 4)
        1.0
    """
    if not isinstance(cells, int) or cells < 2:
        raise OptionError(f"cells is {cells!r}; expected 2 or more, a whole number")
    resolved = resolve_network(network)
    if not isinstance(resolved.preprocess, Preprocess):
        raise OptionError(
            "how the network takes photographs is not known; give it preprocess=shapleycam.Preprocess(...)"
        )
    path = _find_map_layer(resolved, layer, resolved.preprocess)
    copied = deepcopy(resolved.model)
    parent, _, name = path.rpartition(".")
    setattr(copied.get_submodule(parent), name, _JoinedLayer(copied.get_submodule(path), cells))
    height, width = (cells * side for side in resolved.preprocess.crop)
    model = _DisconnectedCells(copied, cells)
    model.train(resolved.model.training)
    return Network(
        model,
        replace(resolved.preprocess, resize=(height, width), crop=(height, width)),
        _labels_of_cells(resolved.labels, cells),
        name=f"disconnected {resolved.name}".strip(),
        origin=resolved.origin,
        layers={"before-pool": f"network.{path}.joined"},
    )


def _find_map_layer(network: Network, layer: str | None, preprocess: Preprocess) -> str:
    """Return the dotted name of the layer, after a proof that its output is maps with the channels first."""
    explainer = Explainer(network, layer=layer)
    noise = torch.rand(
        1,
        len(preprocess.mean),
        *preprocess.crop,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float32,
        device="cpu",
    )
    game = explainer.game(noise, target=0, utility="logit")
    if game.layout.kind != "NCHW" or not any(name == game.layer for name, _ in network.model.named_modules()):
        raise LayerError(
            f"layer {game.layer!r} has layout {game.layout.kind}; expected one module with maps (b, channels, h, w): "
            "choose another layer"
        )
    return str(game.layer)


def _labels_of_cells(labels: tuple[str, ...] | None, cells: int) -> tuple[str, ...] | None:
    if labels is None:
        return None
    positions = [divmod(cell, cells) for cell in range(cells**2)]
    return tuple(f"{label} in row {row + 1}, column {column + 1}" for row, column in positions for label in labels)


class _JoinedLayer(nn.Module):
    """Runs a layer on cells; the output of its submodule `joined`, the explained layer, has one map for each image."""

    def __init__(self, layer: nn.Module, cells: int) -> None:
        super().__init__()
        self.layer, self.joined, self.cells = layer, nn.Identity(), cells

    def forward(self, x: Tensor) -> Tensor:
        return split_cells(self.joined(join_cells(self.layer(x), self.cells)), self.cells)


class _DisconnectedCells(nn.Module):
    """Runs a network on each cell, and concatenates the log-probabilities of an image's cells."""

    def __init__(self, network: nn.Module, cells: int) -> None:
        super().__init__()
        self.network, self.cells = network, cells

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(split_cells(x, self.cells))
        return (scores - scores.logsumexp(1, keepdim=True)).reshape(len(x), -1)


def split_cells(images: Float[Tensor, "b c H W"], cells: int) -> Float[Tensor, "b_cells c h w"]:
    """Return the cells of images as a batch; the cells of an image are adjacent, in reading order.

    Examples:
        >>> import torch
        >>> from shapleycam.experiments.synthetic._disconnected import join_cells, split_cells
        >>> image = torch.arange(16.0).view(1, 1, 4, 4)
        >>> split_cells(image, 2)[1].tolist(), torch.equal(join_cells(split_cells(image, 2), 2), image)
        ([[[2.0, 3.0], [6.0, 7.0]]], True)
    """
    batch, channels, height, width = images.shape
    parts = images.reshape(batch, channels, cells, height // cells, cells, width // cells)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // cells, width // cells)


def join_cells(parts: Float[Tensor, "b_cells c h w"], cells: int) -> Float[Tensor, "b c H W"]:
    """Return the images that consist of these cells; the inverse of `split_cells`."""
    _, channels, height, width = parts.shape
    images = parts.reshape(-1, cells, cells, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return images.reshape(-1, channels, cells * height, cells * width)
